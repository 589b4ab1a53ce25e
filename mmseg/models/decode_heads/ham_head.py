"""The decoder of SegNeXt, https://arxiv.org/abs/2209.08575, on "Is Attention Better Than Matrix Decomposition?"
(Hamburger), https://arxiv.org/abs/2109.04553."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.ops import resize
from mmseg.registry import MODELS

_EPS = 1e-6  # keeps the multiplicative updates from dividing by zero


class Matrix_Decomposition_2D_Base(nn.Module):
    """Replace a map by its approximation `bases @ coef.T`, of low rank, found by a few steps from a start.

    The start takes no part in the gradient; the last step of the coefficients does. It is random, but the same for all
    images in evaluation: so they get the same labels each time.

    Args:
        MD_S: groups of channels that are decomposed by themselves.
        MD_R: rank, the number of bases.
        train_steps, eval_steps: steps from the start.
        inv_t: inverse temperature of the coefficients' start.
        rand_init: draw new bases for each image in training, rather than once for the module.
    """

    def __init__(self, MD_S: int = 1, MD_R: int = 64, train_steps: int = 6, eval_steps: int = 7, inv_t: float = 100,
                 rand_init: bool = True):
        super().__init__()
        self.S, self.R = MD_S, MD_R
        self.train_steps, self.eval_steps = train_steps, eval_steps
        self.inv_t, self.rand_init = inv_t, rand_init
        self._start_of_evaluation: torch.Tensor | None = None

    def _build_bases(self, B: int, S: int, D: int, R: int, device: torch.device | None = None) -> torch.Tensor:
        raise NotImplementedError

    def local_step(self, x: torch.Tensor, bases: torch.Tensor,
                   coef: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Improve (B S, D, R) bases and (B S, N, R) coefficients of x, (B S, D, N)."""
        raise NotImplementedError

    def compute_coef(self, x: torch.Tensor, bases: torch.Tensor, coef: torch.Tensor) -> torch.Tensor:
        """Improve the coefficients alone, with gradient."""
        raise NotImplementedError

    @torch.no_grad()
    def local_inference(self, x: torch.Tensor, bases: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the bases and coefficients after all steps."""
        coef = F.softmax(self.inv_t * (x.transpose(1, 2) @ bases), dim=-1)  # (B S) N R
        for _ in range(self.train_steps if self.training else self.eval_steps):
            bases, coef = self.local_step(x, bases, coef)
        return bases, coef

    def forward(self, x: torch.Tensor, return_bases: bool = False) -> torch.Tensor:
        """(B, C, H, W) -> the same shape."""
        batch, channels, height, width = x.shape
        if channels % self.S:
            raise ValueError(f'{channels} channels cannot be shared by MD_S={self.S} groups: choose a divisor')
        depth = channels // self.S
        flat = x.reshape(batch * self.S, depth, height * width)  # B (S D) H W -> (B S) D (H W)
        bases, coef = self.local_inference(flat, self._start(batch, depth, x))
        coef = self.compute_coef(flat, bases, coef)
        return (bases @ coef.transpose(1, 2)).reshape(x.shape)

    def _start(self, batch: int, depth: int, x: torch.Tensor) -> torch.Tensor:
        if self.rand_init and self.training:
            return self._build_bases(batch, self.S, depth, self.R, x.device).to(x.dtype)
        if self.rand_init:
            if self._start_of_evaluation is None:
                self._start_of_evaluation = self._fixed_bases(depth)
            bases = self._start_of_evaluation
        else:
            if not hasattr(self, 'bases'):
                self.register_buffer('bases', self._build_bases(1, self.S, depth, self.R, x.device))
            bases = self.bases
        return bases.to(x).repeat(batch, 1, 1)

    def _fixed_bases(self, depth: int) -> torch.Tensor:
        """Draw bases (S, D, R) from a seed of their own; nobody else's random numbers change."""
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(0)
            return self._build_bases(1, self.S, depth, self.R, torch.device('cpu'))


class NMF2D(Matrix_Decomposition_2D_Base):
    """Non-negative matrix factorisation by multiplicative updates.

    Args:
        args: arguments of :class:`Matrix_Decomposition_2D_Base`.
    """

    def __init__(self, args: Mapping | None = None):
        super().__init__(**(args or {}))
        self.inv_t = 1  # as published, whatever `args` say: the coefficients start nearly even

    def _build_bases(self, B: int, S: int, D: int, R: int, device: torch.device | None = None) -> torch.Tensor:
        return F.normalize(torch.rand((B * S, D, R), device=device), dim=1)

    def local_step(self, x: torch.Tensor, bases: torch.Tensor,
                   coef: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        coef = self.compute_coef(x, bases, coef)
        bases = bases * (x @ coef) / (bases @ (coef.transpose(1, 2) @ coef) + _EPS)
        return bases, coef

    def compute_coef(self, x: torch.Tensor, bases: torch.Tensor, coef: torch.Tensor) -> torch.Tensor:
        return coef * (x.transpose(1, 2) @ bases) / (coef @ (bases.transpose(1, 2) @ bases) + _EPS)


class Hamburger(nn.Module):
    """A matrix decomposition between two 1x1 convolutions, beside a shortcut.

    Args:
        ham_channels: of input and output.
        ham_kwargs: arguments of :class:`Matrix_Decomposition_2D_Base`.
        norm_cfg: after the second convolution.
    """

    def __init__(self, ham_channels: int = 512, ham_kwargs: Mapping | None = None, norm_cfg: dict | None = None,
                 **kwargs):
        super().__init__()
        self.ham_in = ConvModule(ham_channels, ham_channels, 1, norm_cfg=None, act_cfg=None)
        self.ham = NMF2D(ham_kwargs)
        self.ham_out = ConvModule(ham_channels, ham_channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, ham_channels, H, W) -> the same shape."""
        bread = F.relu(self.ham_in(x), inplace=True)
        return F.relu(x + self.ham_out(self.ham(bread)), inplace=True)


@MODELS.register_module()
class LightHamHead(BaseDecodeHead):
    """All features at the size of the first, one Hamburger and a classifier.

    Args:
        ham_channels: of the Hamburger.
        ham_kwargs: arguments of :class:`Matrix_Decomposition_2D_Base`.
    """

    def __init__(self, ham_channels: int = 512, ham_kwargs: Mapping | None = None, **kwargs):
        super().__init__(input_transform='multiple_select', **kwargs)
        self.ham_channels = ham_channels
        self.squeeze = ConvModule(sum(self.in_channels), ham_channels, 1, **self.conv_options)
        self.hamburger = Hamburger(ham_channels, ham_kwargs, **self.conv_options)
        self.align = ConvModule(ham_channels, self.channels, 1, **self.conv_options)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w) of the first feature's size."""
        first, *others = self._transform_inputs(inputs)
        size = first.shape[2:]
        others = [resize(x, size, mode='bilinear', align_corners=self.align_corners) for x in others]
        x = self.squeeze(torch.cat([first, *others], dim=1))
        return self.cls_seg(self.align(self.hamburger(x)))
