"""Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road Scenes (DDRNet),
https://arxiv.org/abs/2101.06085."""
from __future__ import annotations

from functools import partial

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.utils.basic_block import BasicBlock, Bottleneck, residual_stage, stem_of_stride_8
from mmseg.models.utils.ppm import DAPPM
from mmseg.ops import resize
from mmseg.registry import MODELS

_BN = dict(type='BN', requires_grad=True)
_RELU = dict(type='ReLU', inplace=True)


def _projection(in_channels: int, out_channels: int, stride: int, norm_cfg: dict) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                         build_norm_layer(norm_cfg, out_channels)[1])


@MODELS.register_module()
class DDRNet(BaseModule):
    """A context branch that goes down to stride 64, beside a spatial branch that stays at stride 8.

    They exchange their features twice, and the context, pooled at several scales, is added to the spatial branch.

    Args:
        in_channels: of the image.
        channels: of the stem: 32 for DDRNet-23-slim, 64 for DDRNet-23.
        ppm_channels: of each scale of the pyramid pooling.
        align_corners: how the context is enlarged.

    Attributes:
        out_channels, out_strides: of the feature that evaluation returns, (4 * channels,) and (8,).
    """

    def __init__(self, in_channels: int = 3, channels: int = 32, ppm_channels: int = 128, align_corners: bool = False,
                 norm_cfg: dict = _BN, act_cfg: dict = _RELU, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.ppm_channels = ppm_channels
        self.align_corners = align_corners
        self.norm_cfg, self.act_cfg = norm_cfg, act_cfg
        stage = partial(residual_stage, project=_projection, norm_cfg=norm_cfg, act_cfg=act_cfg)
        linear = partial(ConvModule, norm_cfg=norm_cfg, act_cfg=None)

        self.relu = nn.ReLU()
        self.stem = stem_of_stride_8(in_channels, channels, 2, stage, norm_cfg, act_cfg)
        wide = channels * 2
        self.context_branch_layers = nn.ModuleList([
            stage(BasicBlock, wide, channels * 4, 2, stride=2),
            stage(BasicBlock, channels * 4, channels * 8, 2, stride=2),
            stage(Bottleneck, channels * 8, channels * 8, 1, stride=2)])
        self.spatial_branch_layers = nn.ModuleList([
            stage(BasicBlock, wide, wide, 2), stage(BasicBlock, wide, wide, 2), stage(Bottleneck, wide, wide, 1)])
        self.compression_1 = linear(channels * 4, wide, 1)
        self.compression_2 = linear(channels * 8, wide, 1)
        self.down_1 = linear(wide, channels * 4, 3, stride=2, padding=1)
        self.down_2 = nn.Sequential(
            ConvModule(wide, channels * 4, 3, stride=2, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg),
            linear(channels * 4, channels * 8, 3, stride=2, padding=1))
        self.spp = DAPPM(channels * 16, ppm_channels, channels * 4, num_scales=5, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.out_channels, self.out_strides = (channels * 4,), (8,)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """(B, in_channels, H, W) -> (B, 4 channels, H / 8, W / 8); in training, with the spatial feature before it."""
        to_context, to_spatial = self.context_branch_layers, self.spatial_branch_layers
        x = self.stem(x)
        context, spatial = to_context[0](x), to_spatial[0](x)
        context, early = self._exchange(context, spatial, self.down_1, self.compression_1)
        context, spatial = to_context[1](self.relu(context)), to_spatial[1](self.relu(early))
        context, spatial = self._exchange(context, spatial, self.down_2, self.compression_2)
        context = self.spp(to_context[2](self.relu(context)))
        spatial = to_spatial[2](self.relu(spatial))
        fused = spatial + self._enlarge(context, spatial)
        return (early, fused) if self.training else fused

    def _exchange(self, context: torch.Tensor, spatial: torch.Tensor, down: nn.Module,
                  compression: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        """Add to each branch the other one's feature, at its own size and with its own channels."""
        lowered, compressed = down(self.relu(spatial)), compression(self.relu(context))
        return context + lowered, spatial + self._enlarge(compressed, spatial)

    def _enlarge(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return resize(x, target.shape[2:], mode='bilinear', align_corners=self.align_corners, warning=False)
