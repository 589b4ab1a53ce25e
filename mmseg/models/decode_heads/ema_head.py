"""Expectation-Maximization Attention Networks for Semantic Segmentation, https://arxiv.org/abs/1907.13426."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS


def reduce_mean(tensor: torch.Tensor) -> torch.Tensor:
    """Return the mean of a tensor over all processes."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    mean = tensor / dist.get_world_size()
    dist.all_reduce(mean)
    return mean


class EMAModule(nn.Module):
    """Attention by way of a few bases that expectation and maximisation fit to each image.

    Args:
        num_bases: number of bases.
        num_stages: steps of expectation and maximisation.
        momentum: share of a batch's bases in the moving average that every image starts from.
    """

    def __init__(self, channels: int, num_bases: int, num_stages: int, momentum: float):
        super().__init__()
        if num_stages < 1:
            raise ValueError(f'num_stages must be at least 1, found {num_stages}')
        self.num_stages = num_stages
        self.momentum = momentum
        bases = torch.empty(1, channels, num_bases).normal_(0, math.sqrt(2 / num_bases))
        self.register_buffer('bases', F.normalize(bases, dim=1))

    def forward(self, feats: torch.Tensor) -> torch.Tensor:
        """Rebuild (B, C, H, W) from the bases."""
        flat = feats.flatten(2)  # B C N
        bases = self.bases.expand(len(feats), -1, -1)  # B C K
        with torch.no_grad():
            for _ in range(self.num_stages):
                share = (flat.transpose(1, 2) @ bases).softmax(-1)  # B N K
                bases = F.normalize(flat @ F.normalize(share, p=1, dim=1), dim=1)
        rebuilt = (bases @ share.transpose(1, 2)).view_as(feats)
        if self.training:
            mean = F.normalize(reduce_mean(bases.mean(0, keepdim=True)), dim=1)
            self.bases.lerp_(mean.to(self.bases), self.momentum)
        return rebuilt


@MODELS.register_module()
class EMAHead(BaseDecodeHead):
    """Expectation-maximisation attention between convolutions.

    Args:
        ema_channels: of the attention.
        num_bases, num_stages, momentum: see :class:`EMAModule`.
        concat_input: set the input before the result, and convolve both once more.
    """

    def __init__(self, ema_channels: int, num_bases: int, num_stages: int, concat_input: bool = True,
                 momentum: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.ema_channels = ema_channels
        self.num_bases, self.num_stages, self.momentum = num_bases, num_stages, momentum
        self.concat_input = concat_input
        shape = dict(kernel_size=3, padding=1, **self.conv_options)
        self.ema_module = EMAModule(ema_channels, num_bases, num_stages, momentum)
        self.ema_in_conv = ConvModule(self.in_channels, ema_channels, **shape)
        self.ema_mid_conv = ConvModule(ema_channels, ema_channels, 1, conv_cfg=self.conv_cfg, act_cfg=None)
        self.ema_mid_conv.requires_grad_(False)  # no gradient passes the bases
        self.ema_out_conv = ConvModule(ema_channels, ema_channels, 1, conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg,
                                       act_cfg=None)
        self.bottleneck = ConvModule(ema_channels, self.channels, **shape)
        if concat_input:
            self.conv_cat = ConvModule(self.in_channels + self.channels, self.channels, **shape)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w)."""
        x = self._transform_inputs(inputs)
        feature = self.ema_in_conv(x)
        rebuilt = F.relu(self.ema_module(self.ema_mid_conv(feature)))
        feature = self.bottleneck(F.relu(feature + self.ema_out_conv(rebuilt)))
        if self.concat_input:
            feature = self.conv_cat(torch.cat([x, feature], dim=1))
        return self.cls_seg(feature)
