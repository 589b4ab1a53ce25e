"""Interlaced Sparse Self-Attention for Semantic Segmentation, https://arxiv.org/abs/1907.12273."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import SelfAttentionBlock as AttentionBlock
from mmseg.registry import MODELS


class SelfAttentionBlock(AttentionBlock):
    """Attention of a feature map over itself, projected once more.

    Args:
        in_channels: of input and output.
        channels: of queries and keys.
    """

    def __init__(self, in_channels: int, channels: int, conv_cfg: dict | None, norm_cfg: dict | None,
                 act_cfg: dict | None):
        options = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        super().__init__(
            key_in_channels=in_channels, query_in_channels=in_channels, channels=channels, out_channels=in_channels,
            share_key_query=False, query_downsample=None, key_downsample=None, key_query_num_convs=2,
            key_query_norm=True, value_out_num_convs=1, value_out_norm=False, matmul_norm=True, with_out=False,
            **options)
        self.output_project = self.build_project(in_channels, in_channels, num_convs=1, use_conv_module=True,
                                                 **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.output_project(super().forward(x, x))


@MODELS.register_module()
class ISAHead(BaseDecodeHead):
    """Attention among places far apart, then among neighbours: together every place sees every other.

    Args:
        isa_channels: of queries and keys.
        down_factor: height and width of a neighbourhood.
    """

    def __init__(self, isa_channels: int, down_factor: tuple[int, int] = (8, 8), **kwargs):
        super().__init__(**kwargs)
        self.down_factor = down_factor
        self.in_conv = ConvModule(self.in_channels, self.channels, 3, padding=1, **self.conv_options)
        self.global_relation = SelfAttentionBlock(self.channels, isa_channels, **self.conv_options)
        self.local_relation = SelfAttentionBlock(self.channels, isa_channels, **self.conv_options)
        self.out_conv = ConvModule(2 * self.channels, self.channels, 1, **self.conv_options)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w)."""
        feature = self.in_conv(self._transform_inputs(inputs))
        batch, channels, height, width = feature.shape
        p, q = self.down_factor
        down, right = -(-height // p) * p - height, -(-width // q) * q - width
        x = F.pad(feature, (right // 2, right - right // 2, down // 2, down - down // 2))
        x = x.unflatten(3, (-1, q)).unflatten(2, (-1, p))  # B C (G p) (H q) -> B C G p H q
        rows, columns = x.shape[2], x.shape[4]
        x = x.permute(0, 3, 5, 1, 2, 4).reshape(-1, channels, rows, columns)  # (B p q) C G H
        x = self.global_relation(x).view(batch, p, q, channels, rows, columns)
        x = x.permute(0, 4, 5, 3, 1, 2).reshape(-1, channels, p, q)  # (B G H) C p q
        x = self.local_relation(x).view(batch, rows, columns, channels, p, q)
        x = x.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, rows * p, columns * q)
        x = x[:, :, down // 2:down // 2 + height, right // 2:right // 2 + width]
        return self.cls_seg(self.out_conv(torch.cat([x, feature], dim=1)))
