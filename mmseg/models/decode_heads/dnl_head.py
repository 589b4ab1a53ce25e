"""Disentangled Non-Local Neural Networks, https://arxiv.org/abs/2006.06668."""
from __future__ import annotations

import torch
from mmcv.cnn import NonLocal2d
from torch import nn

from mmseg.models.decode_heads.context_head import ContextHead
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
        query, key = self._query_and_key(x)
        query = query - query.mean(-2, keepdim=True)
        key = key - key.mean(-1, keepdim=True)
        value = self.g(x).flatten(2).transpose(1, 2)  # B C H W -> B (H W) C
        pairwise = getattr(self, self.mode)(query, key) @ value  # B (H W) C
        unary = self.conv_mask(x).flatten(2).softmax(-1) @ value  # B 1 C
        context = (pairwise + unary).transpose(1, 2).unflatten(2, x.shape[2:])  # B (H W) C -> B C H W
        return x + self.conv_out(context)

    def _query_and_key(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The queries, with the places along the last axis but one, and the keys, with them along the last."""
        if self.mode == 'gaussian':
            return x.flatten(2).transpose(1, 2), x.flatten(2)
        query, key = self.theta(x).flatten(2), self.phi(x).flatten(2)  # B C (H W)
        if self.mode == 'concatenation':
            return query.unsqueeze(3), key.unsqueeze(2)
        return query.transpose(1, 2), key


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
