"""Disentangled Non-Local Neural Networks, https://arxiv.org/abs/2006.06668."""
from __future__ import annotations

import torch
from mmcv.cnn import NonLocal2d
from torch import nn

from mmseg.models.decode_heads.nl_head import NLHead
from mmseg.registry import MODELS


class DisentangledNonLocal2d(NonLocal2d):
    """A whitened pairwise term, and a unary term that says how much each place matters to all.

    Args:
        temperature: the pairwise products are divided by it before the softmax.
    """

    def __init__(self, *arg, temperature: float, **kwargs):
        super().__init__(*arg, **kwargs)
        self.temperature = temperature
        self.conv_mask = nn.Conv2d(self.in_channels, 1, kernel_size=1)

    def embedded_gaussian(self, theta_x: torch.Tensor, phi_x: torch.Tensor) -> torch.Tensor:
        """Attention of queries (B, HW, C) over keys (B, C, HW)."""
        scale = theta_x.shape[-1]**0.5 if self.use_scale else 1
        return (theta_x @ phi_x / (scale * self.temperature)).softmax(-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        value = self.g(x).flatten(2).transpose(1, 2)  # B C H W -> B (H W) C
        query = self.theta(x).flatten(2).transpose(1, 2)
        key = self.phi(x).flatten(2)  # B C (H W)
        query = query - query.mean(1, keepdim=True)
        key = key - key.mean(2, keepdim=True)
        pairwise = getattr(self, self.mode)(query, key) @ value  # B (H W) C
        unary = self.conv_mask(x).flatten(2).softmax(-1) @ value  # B 1 C
        context = (pairwise + unary).transpose(1, 2).unflatten(2, x.shape[2:])  # B (H W) C -> B C H W
        return x + self.conv_out(context)


@MODELS.register_module()
class DNLHead(NLHead):
    """:class:`NLHead` with the disentangled block; arguments as there."""

    def __init__(self, reduction: int = 2, use_scale: bool = True, mode: str = 'embedded_gaussian',
                 temperature: float = 0.05, **kwargs):
        super().__init__(reduction, use_scale, mode, **kwargs)
        del self.nl_block
        self.temperature = temperature
        self.dnl_block = DisentangledNonLocal2d(
            self.channels, reduction=reduction, use_scale=use_scale, mode=mode, norm_cfg=self.norm_cfg,
            temperature=temperature, **({} if self.conv_cfg is None else dict(conv_cfg=self.conv_cfg)))

    def context(self, x: torch.Tensor) -> torch.Tensor:
        return self.dnl_block(x)
