"""The neck of SETR-MLA, multi-level feature aggregation, https://arxiv.org/abs/2012.15840."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import add

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from torch import nn

from mmseg.models.utils import nchw_to_nlc, nlc_to_nchw
from mmseg.registry import MODELS

_EXACT_LN = dict(type='LN', eps=1e-6, requires_grad=True)
_VIT_LARGE = (1024, 1024, 1024, 1024)


class MLAModule(nn.Module):
    """Project features of one size, add each to the sum of the deeper ones, and convolve these sums.

    Args:
        in_channels: of each feature.
        out_channels: of every output.
    """

    def __init__(self, in_channels: Sequence[int] = _VIT_LARGE, out_channels: int = 256,
                 norm_cfg: dict | None = None, act_cfg: dict | None = None):
        super().__init__()
        shared = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.channel_proj = nn.ModuleList(ConvModule(wide, out_channels, 1, **shared) for wide in in_channels)
        self.feat_extract = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, **shared) for _ in in_channels)

    def forward(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Features (B, C, h, w), the deepest last -> as many (B, out_channels, h, w), the deepest first."""
        projected = [project(x) for project, x in zip(self.channel_proj, inputs)]
        sums = accumulate(reversed(projected), add)
        return tuple(extract(x) for extract, x in zip(self.feat_extract, sums))


@MODELS.register_module()
class MLANeck(nn.Module):
    """Normalise the tokens of each feature, then aggregate over the levels.

    Args:
        in_channels: of each feature.
        out_channels: of every output.
        norm_layer: config of the norms of tokens.
        norm_cfg, act_cfg: of the convolutions.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, norm_layer: dict = _EXACT_LN,
                 norm_cfg: dict | None = None, act_cfg: dict | None = None):
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.norm = nn.ModuleList(build_norm_layer(norm_layer, wide)[1] for wide in in_channels)
        self.mla = MLAModule(in_channels, out_channels, norm_cfg, act_cfg)

    def forward(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Features (B, C, h, w), the deepest last -> as many (B, out_channels, h, w), the deepest first."""
        if len(inputs) != len(self.in_channels):
            raise ValueError(f'this neck is made for {len(self.in_channels)} features, found {len(inputs)}')
        return self.mla([nlc_to_nchw(norm(nchw_to_nlc(x)), x.shape[2:]) for norm, x in zip(self.norm, inputs)])
