"""Dynamic Multi-scale Filters for Semantic Segmentation, ICCV 2019."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_activation_layer, build_norm_layer
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS


class DCM(nn.Module):
    """Dynamic convolution: each image is filtered, channel by channel, with a kernel made from its own content.

    Args:
        filter_size: side of the kernel.
        fusion: end with one more convolution.
    """

    def __init__(self, filter_size: int, fusion: bool, in_channels: int, channels: int, conv_cfg: dict | None,
                 norm_cfg: dict | None, act_cfg: dict | None):
        super().__init__()
        self.filter_size = filter_size
        options = dict(kernel_size=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.filter_gen_conv = nn.Conv2d(in_channels, channels, 1)
        self.input_redu_conv = ConvModule(in_channels, channels, **options)
        self.norm = build_norm_layer(norm_cfg, channels)[1] if norm_cfg is not None else nn.Identity()
        self.activate = build_activation_layer(act_cfg)
        self.fusion_conv = ConvModule(channels, channels, **options) if fusion else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, channels, H, W)."""
        kernels = self.filter_gen_conv(F.adaptive_avg_pool2d(x, self.filter_size))  # B C k k
        x = self.input_redu_conv(x)
        before = self.filter_size // 2
        after = self.filter_size - 1 - before
        padded = F.pad(x, (before, after, before, after)).flatten(0, 1)[None]  # 1 (B C) H W
        filtered = F.conv2d(padded, kernels.flatten(0, 1)[:, None], groups=padded.shape[1]).view_as(x)
        filtered = self.activate(self.norm(filtered))
        return filtered if self.fusion_conv is None else self.fusion_conv(filtered)


@MODELS.register_module()
class DMHead(BaseDecodeHead):
    """Dynamic convolutions of several sizes beside the feature itself.

    Args:
        filter_sizes: sides of the kernels.
        fusion: end each with one more convolution.
    """

    def __init__(self, filter_sizes: Sequence[int] = (1, 3, 5, 7), fusion: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.filter_sizes = filter_sizes
        self.fusion = fusion
        self.dcm_modules = nn.ModuleList(
            DCM(size, fusion, self.in_channels, self.channels, **self.conv_options) for size in filter_sizes)
        self.bottleneck = ConvModule(self.in_channels + len(filter_sizes) * self.channels, self.channels, 3, padding=1,
                                     **self.conv_options)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w)."""
        x = self._transform_inputs(inputs)
        contexts = [module(x) for module in self.dcm_modules]
        return self.cls_seg(self.bottleneck(torch.cat([x, *contexts], dim=1)))
