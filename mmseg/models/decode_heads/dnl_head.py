"""Disentangled Non-Local Neural Networks, https://arxiv.org/abs/2006.06668."""
from __future__ import annotations

import torch
from torch import nn

from mmseg.models.decode_heads.context_head import ContextHead
from mmseg.models.decode_heads.nl_head import FusedNonLocal2d
from mmseg.registry import MODELS


class DisentangledNonLocal2d(FusedNonLocal2d):
    """A whitened pairwise term, and a unary term that says how much each place matters to all.

    Args:
        temperature: the pairwise products of the mode `'embedded_gaussian'` are divided by it before the softmax.
    """

    def __init__(self, *arg, temperature: float, **kwargs):
        super().__init__(*arg, **kwargs)
        self.temperature = temperature
        self.conv_mask = nn.Conv2d(self.in_channels, 1, kernel_size=1)

    def scale(self, channels: int) -> float:
        """Factor of the products of queries and keys before a softmax."""
        return super().scale(channels) / (self.temperature if self.mode == 'embedded_gaussian' else 1)

    def embedded_gaussian(self, theta_x: torch.Tensor, phi_x: torch.Tensor) -> torch.Tensor:
        """The pairwise weights (B, HW, HW) of queries (B, HW, C) over keys (B, C, HW), to look at."""
        return (theta_x @ phi_x * self.scale(theta_x.shape[-1])).softmax(-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        query, key = self.query_and_key(x)
        query = query - query.mean(-2, keepdim=True)
        key = key - key.mean(-1, keepdim=True)
        value = self.values(x)
        unary = self.conv_mask(x).flatten(2).softmax(-1) @ value  # B 1 C
        return x + self.project(self.attend(query, key, value) + unary, x.shape[2:])


@MODELS.register_module()
class DNLHead(ContextHead):
    """The disentangled block between two convolutions.

    Args:
        reduction, use_scale, mode: see :class:`mmseg.models.decode_heads.nl_head.NLHead`.
        temperature: the pairwise products are divided by it before the softmax.
    """

    def __init__(self, reduction: int = 2, use_scale: bool = True, mode: str = 'embedded_gaussian',
                 temperature: float = 0.05, **kwargs):
        super().__init__(**kwargs)
        self.reduction, self.use_scale, self.mode, self.temperature = reduction, use_scale, mode, temperature
        self.dnl_block = DisentangledNonLocal2d(
            self.channels, reduction=reduction, use_scale=use_scale, mode=mode, temperature=temperature,
            conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg)

    def context(self, x: torch.Tensor) -> torch.Tensor:
        return self.dnl_block(x)
