"""Object-Contextual Representations for Semantic Segmentation, https://arxiv.org/abs/1909.11065."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.utils import SelfAttentionBlock
from mmseg.registry import MODELS


class SpatialGatherModule(nn.Module):
    """The representation of each class's region: the mean feature, weighed by the probability of the class.

    Args:
        scale: the logits are multiplied by it before the softmax over places.
    """

    def __init__(self, scale: float):
        super().__init__()
        self.scale = scale

    def forward(self, feats: torch.Tensor, probs: torch.Tensor) -> torch.Tensor:
        """Features (B, C, H, W) and logits (B, K, H, W) -> (B, C, K, 1)."""
        weight = (self.scale * probs.flatten(2)).softmax(-1)  # B K (H W)
        return (feats.flatten(2) @ weight.transpose(1, 2)).unsqueeze(-1)


class ObjectAttentionBlock(SelfAttentionBlock):
    """Every place gathers from the regions that it belongs to.

    Args:
        in_channels: of input and output.
        channels: of queries, keys and values.
        scale: the queries are max-pooled by it.
    """

    def __init__(self, in_channels: int, channels: int, scale: int, conv_cfg: dict | None, norm_cfg: dict | None,
                 act_cfg: dict | None):
        options = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        super().__init__(
            key_in_channels=in_channels, query_in_channels=in_channels, channels=channels, out_channels=in_channels,
            share_key_query=False,
            query_downsample=nn.MaxPool2d(scale, ceil_mode=True) if scale > 1 else None, key_downsample=None,
            key_query_num_convs=2, key_query_norm=True, value_out_num_convs=1, value_out_norm=True, matmul_norm=True,
            with_out=True, **options)
        self.bottleneck = ConvModule(2 * in_channels, in_channels, 1, **options)

    def forward(self, query_feats: torch.Tensor, key_feats: torch.Tensor) -> torch.Tensor:
        """Places (B, C, H, W) and regions (B, C, K, 1) -> (B, C, H, W)."""
        context = super().forward(query_feats, key_feats)
        return self.bottleneck(torch.cat([context, query_feats], dim=1))


@MODELS.register_module()
class OCRHead(BaseCascadeDecodeHead):
    """Refines the logits of the head before it by the regions that these suggest.

    Args:
        ocr_channels: of queries, keys and values.
        scale: of the logits, and of the pooling of the queries.
    """

    def __init__(self, ocr_channels: int, scale: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.ocr_channels = ocr_channels
        self.scale = scale
        self.object_context_block = ObjectAttentionBlock(self.channels, ocr_channels, scale, **self.conv_options)
        self.spatial_gather_module = SpatialGatherModule(scale)
        self.bottleneck = ConvModule(self.in_channels, self.channels, 3, padding=1, **self.conv_options)

    def forward(self, inputs: Sequence[torch.Tensor], prev_output: torch.Tensor) -> torch.Tensor:
        """Features of the backbone and logits of the previous head -> logits (B, num_classes, h, w)."""
        feature = self.bottleneck(self._transform_inputs(inputs))
        regions = self.spatial_gather_module(feature, prev_output)
        return self.cls_seg(self.object_context_block(feature, regions))
