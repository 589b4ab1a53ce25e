"""Inverted residual blocks: MobileNetV2, https://arxiv.org/abs/1801.04381, and V3, https://arxiv.org/abs/1905.02244."""
from __future__ import annotations

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.utils.backbone_options import checkpointed
from mmseg.models.utils.se_layer import SELayer

_BN = dict(type='BN')
_RELU = dict(type='ReLU')
_RELU6 = dict(type='ReLU6')


def _check_stride(stride: int) -> None:
    if stride not in (1, 2):
        raise ValueError(f'an inverted residual has stride 1 or 2, found {stride}')


class InvertedResidual(nn.Module):
    """Expand 1x1, filter each channel 3x3, project 1x1 without activation.

    Args:
        expand_ratio: hidden channels for each input channel; 1 leaves the expansion out.
        kwargs: go to all three :class:`mmcv.cnn.ConvModule`.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expand_ratio: float, dilation: int = 1,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, act_cfg: dict = _RELU6, with_cp: bool = False,
                 **kwargs):
        super().__init__()
        _check_stride(stride)
        self.stride = stride
        self.with_cp = with_cp
        self.use_res_connect = stride == 1 and in_channels == out_channels
        hidden = round(in_channels * expand_ratio)
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, **kwargs)
        filter_ = ConvModule(hidden, hidden, 3, stride, padding=dilation, dilation=dilation, groups=hidden,
                             act_cfg=act_cfg, **shared)
        project = ConvModule(hidden, out_channels, 1, act_cfg=None, **shared)
        expand = [ConvModule(in_channels, hidden, 1, act_cfg=act_cfg, **shared)] if expand_ratio != 1 else []
        self.conv = nn.Sequential(*expand, filter_, project)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        out = checkpointed(self, self.conv, x) if self.with_cp else self.conv(x)
        return x + out if self.use_res_connect else out


class InvertedResidualV3(nn.Module):
    """The block of MobileNetV3: V2's with any kernel size and, where `se_cfg` is given, a channel gate in the middle.

    Args:
        se_cfg: arguments of :class:`SELayer`.
        with_expand_conv: False leaves the expansion out, and asks for `mid_channels == in_channels`.
        dilation: of the middle convolution.
        with_shortcut: False does without the shortcut even where input and output have the same shape.
    """

    def __init__(self, in_channels: int, out_channels: int, mid_channels: int, kernel_size: int = 3, stride: int = 1,
                 se_cfg: dict | None = None, with_expand_conv: bool = True, conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN, act_cfg: dict = _RELU, with_cp: bool = False, *, dilation: int = 1,
                 with_shortcut: bool = True):
        super().__init__()
        _check_stride(stride)
        if not with_expand_conv and mid_channels != in_channels:
            raise ValueError(f'without expansion mid_channels ({mid_channels}) must equal in_channels ({in_channels})')
        self.with_cp = with_cp
        self.with_shortcut = with_shortcut and stride == 1 and in_channels == out_channels
        self.with_se = se_cfg is not None
        self.with_expand_conv = with_expand_conv

        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        if with_expand_conv:
            self.expand_conv = ConvModule(in_channels, mid_channels, 1, **shared)
        # The published weights were trained with TensorFlow's padding, which is uneven where the stride is 2.
        depthwise = dict(shared, conv_cfg=dict(type='Conv2dAdaptivePadding')) if stride == 2 else shared
        self.depthwise_conv = ConvModule(mid_channels, mid_channels, kernel_size, stride, groups=mid_channels,
                                         padding=kernel_size // 2 * dilation, dilation=dilation, **depthwise)
        if self.with_se:
            self.se = SELayer(**se_cfg)
        self.linear_conv = ConvModule(mid_channels, out_channels, 1, **dict(shared, act_cfg=None))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        out = checkpointed(self, self._transform, x) if self.with_cp else self._transform(x)
        return x + out if self.with_shortcut else out

    def _transform(self, x: torch.Tensor) -> torch.Tensor:
        if self.with_expand_conv:
            x = self.expand_conv(x)
        x = self.depthwise_conv(x)
        if self.with_se:
            x = self.se(x)
        return self.linear_conv(x)
