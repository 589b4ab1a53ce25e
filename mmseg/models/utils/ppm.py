"""Pyramid poolings.

PPM: Pyramid Scene Parsing Network, https://arxiv.org/abs/1612.01105;
DAPPM: Deep Dual-resolution Networks for Real-time Segmentation, https://arxiv.org/abs/2101.06085;
PAPPM, its parallel form: PIDNet, https://arxiv.org/abs/2206.02066.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, Sequential
from torch import nn

from mmseg.ops import resize

_BN = dict(type='BN', momentum=0.1)
_RELU = dict(type='ReLU', inplace=True)
_NORM_FIRST = dict(order=('norm', 'act', 'conv'), bias=False)


class PPM(nn.ModuleList):
    """Pyramid pooling: means over grids of several sizes, projected and enlarged to the size of the input.

    Args:
        pool_scales: cells of each grid along a side.
        in_channels: of the input.
        channels: of each result.
        align_corners: how the results are enlarged.
        kwargs: go to every :class:`mmcv.cnn.ConvModule`.
    """

    def __init__(self, pool_scales: Sequence[int], in_channels: int, channels: int, conv_cfg: dict | None,
                 norm_cfg: dict | None, act_cfg: dict | None, align_corners: bool, **kwargs):
        shared = dict(kwargs, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        super().__init__(nn.Sequential(nn.AdaptiveAvgPool2d(scale), ConvModule(in_channels, channels, 1, **shared))
                         for scale in pool_scales)
        self.align_corners = align_corners

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(B, in_channels, H, W) -> a feature (B, channels, H, W) of each grid."""
        options = dict(mode='bilinear', align_corners=self.align_corners, warning=False)  # grids never align
        return [resize(pool(x), x.shape[2:], **options) for pool in self]


class DAPPM(BaseModule):
    """Means over ever larger windows, each convolved together with the result of the window before it.

    Args:
        in_channels: of the input.
        branch_channels: of each scale.
        out_channels: of the result.
        num_scales: the input itself, its means over `num_scales - 2` sizes of windows, and the mean of all.
        kernel_sizes, strides, paddings: of the windows.
        conv_cfg: further arguments of every :class:`mmcv.cnn.ConvModule`.
        upsample_mode: interpolation of the scales to the input's size.
    """

    def __init__(self, in_channels: int, branch_channels: int, out_channels: int, num_scales: int,
                 kernel_sizes: Sequence[int] = (5, 9, 17), strides: Sequence[int] = (2, 4, 8),
                 paddings: Sequence[int] = (2, 4, 8), norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 conv_cfg: dict = _NORM_FIRST, upsample_mode: str = 'bilinear'):
        super().__init__()
        windows = list(zip(kernel_sizes, strides, paddings))
        if len(windows) < num_scales - 2:
            raise ValueError(f'{num_scales} scales need {num_scales - 2} kernel_sizes, strides and paddings, found '
                             f'{len(windows)}')
        self.num_scales = num_scales
        self.upsample_mode = upsample_mode
        self.conv_options = dict(norm_cfg=norm_cfg, act_cfg=act_cfg, **conv_cfg)

        pools = [nn.AvgPool2d(*window) for window in windows[:num_scales - 2]] + [nn.AdaptiveAvgPool2d((1, 1))]
        self.scales = nn.ModuleList([
            ConvModule(in_channels, branch_channels, 1, **self.conv_options),
            *(Sequential(pool, ConvModule(in_channels, branch_channels, 1, **self.conv_options)) for pool in pools)])
        self.processes = self._make_processes(branch_channels)
        self.compression = ConvModule(branch_channels * num_scales, out_channels, 1, **self.conv_options)
        self.shortcut = ConvModule(in_channels, out_channels, 1, **self.conv_options)

    def _make_processes(self, channels: int) -> nn.Module:
        return nn.ModuleList(ConvModule(channels, channels, 3, padding=1, **self.conv_options)
                             for _ in range(self.num_scales - 1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        first, *pooled = self.scales
        finest = first(inputs)
        coarser = [resize(scale(inputs), inputs.shape[2:], mode=self.upsample_mode) for scale in pooled]
        return self.compression(self._fuse(finest, coarser)) + self.shortcut(inputs)

    def _fuse(self, finest: torch.Tensor, coarser: list[torch.Tensor]) -> torch.Tensor:
        """Combine num_scales features (B, branch_channels, H, W): -> (B, num_scales branch_channels, H, W)."""
        features = [finest]
        for process, feature in zip(self.processes, coarser):
            features.append(process(feature + features[-1]))
        return torch.cat(features, dim=1)


class PAPPM(DAPPM):
    """DAPPM with all scales convolved at once, by one grouped convolution."""

    def _make_processes(self, channels: int) -> nn.Module:
        groups = self.num_scales - 1
        return ConvModule(channels * groups, channels * groups, 3, padding=1, groups=groups, **self.conv_options)

    def _fuse(self, finest: torch.Tensor, coarser: list[torch.Tensor]) -> torch.Tensor:
        together = torch.cat([feature + finest for feature in coarser], dim=1)
        return torch.cat([finest, self.processes(together)], dim=1)
