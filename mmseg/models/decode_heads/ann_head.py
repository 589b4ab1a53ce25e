"""Asymmetric Non-local Neural Networks for Semantic Segmentation, https://arxiv.org/abs/1908.07678."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import SelfAttentionBlock as AttentionBlock
from mmseg.registry import MODELS


class PPMConcat(nn.Module):
    """Means over grids of several sizes as one short sequence."""

    def __init__(self, pool_scales: Sequence[int] = (1, 3, 6, 8)):
        super().__init__()
        self.pool_scales = pool_scales

    def forward(self, feats: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, S), S the cells of all grids."""
        return torch.cat([F.adaptive_avg_pool2d(feats, scale).flatten(2) for scale in self.pool_scales], dim=2)


class SelfAttentionBlock(AttentionBlock):
    """Attention of a high-level feature over a few pooled keys of a low-level one.

    Args:
        query_scale: the queries are max-pooled by it.
        key_pool_scales: grids that the keys are pooled over.
    """

    def __init__(self, low_in_channels: int, high_in_channels: int, channels: int, out_channels: int,
                 share_key_query: bool, query_scale: int, key_pool_scales: Sequence[int], conv_cfg: dict | None,
                 norm_cfg: dict | None, act_cfg: dict | None):
        super().__init__(
            key_in_channels=low_in_channels, query_in_channels=high_in_channels, channels=channels,
            out_channels=out_channels, share_key_query=share_key_query,
            query_downsample=nn.MaxPool2d(query_scale, ceil_mode=True) if query_scale > 1 else None,
            key_downsample=PPMConcat(key_pool_scales), key_query_num_convs=1, key_query_norm=True,
            value_out_num_convs=1, value_out_norm=False, matmul_norm=True, with_out=True,
            conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)


class AFNB(nn.Module):
    """Asymmetric fusion: a high-level feature gathers from a low-level one; one attention for each query scale."""

    def __init__(self, low_in_channels: int, high_in_channels: int, channels: int, out_channels: int,
                 query_scales: Sequence[int], key_pool_scales: Sequence[int], conv_cfg: dict | None,
                 norm_cfg: dict | None, act_cfg: dict | None):
        super().__init__()
        self.stages = nn.ModuleList(
            SelfAttentionBlock(low_in_channels, high_in_channels, channels, out_channels, False, scale,
                               key_pool_scales, conv_cfg, norm_cfg, act_cfg) for scale in query_scales)
        self.bottleneck = ConvModule(out_channels + high_in_channels, out_channels, 1, conv_cfg=conv_cfg,
                                     norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, low_feats: torch.Tensor, high_feats: torch.Tensor) -> torch.Tensor:
        """(B, C_low, h, w) and (B, C_high, H, W) -> (B, C, H, W)."""
        context = sum(stage(high_feats, low_feats) for stage in self.stages)
        return self.bottleneck(torch.cat([context, high_feats], dim=1))


class APNB(nn.Module):
    """Asymmetric pyramid attention of a feature over itself; one attention for each query scale."""

    def __init__(self, in_channels: int, channels: int, out_channels: int, query_scales: Sequence[int],
                 key_pool_scales: Sequence[int], conv_cfg: dict | None, norm_cfg: dict | None,
                 act_cfg: dict | None):
        super().__init__()
        self.stages = nn.ModuleList(
            SelfAttentionBlock(in_channels, in_channels, channels, out_channels, True, scale, key_pool_scales,
                               conv_cfg, norm_cfg, act_cfg) for scale in query_scales)
        self.bottleneck = ConvModule(2 * in_channels, out_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg,
                                     act_cfg=act_cfg)

    def forward(self, feats: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        context = sum(stage(feats, feats) for stage in self.stages)
        return self.bottleneck(torch.cat([context, feats], dim=1))


@MODELS.register_module()
class ANNHead(BaseDecodeHead):
    """Fusion of two stages of the backbone, then attention of the result over itself.

    Args:
        project_channels: of queries, keys and values.
        query_scales: a max-pooling of the queries for each attention.
        key_pool_scales: grids that keys and values are pooled over.
    """

    def __init__(self, project_channels: int, query_scales: Sequence[int] = (1,),
                 key_pool_scales: Sequence[int] = (1, 3, 6, 8), **kwargs):
        super().__init__(input_transform='multiple_select', **kwargs)
        if len(self.in_channels) != 2:
            raise ValueError(f'ANNHead fuses two features: in_channels={self.in_channels} must list two')
        low, high = self.in_channels
        self.project_channels = project_channels
        attention = dict(channels=project_channels, query_scales=query_scales, key_pool_scales=key_pool_scales,
                         **self.conv_options)
        self.fusion = AFNB(low_in_channels=low, high_in_channels=high, out_channels=high, **attention)
        self.bottleneck = ConvModule(high, self.channels, 3, padding=1, **self.conv_options)
        self.context = APNB(in_channels=self.channels, out_channels=self.channels, **attention)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w)."""
        low, high = self._transform_inputs(inputs)
        fused = self.fusion(low, high)
        if self.dropout is not None:
            fused = self.dropout(fused)
        return self.cls_seg(self.context(self.bottleneck(fused)))
