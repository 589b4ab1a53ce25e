"""ICNet for Real-Time Semantic Segmentation on High-Resolution Images, https://arxiv.org/abs/1704.08545."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.utils.backbone_options import CONV_INIT
from mmseg.models.utils.ppm import PPM
from mmseg.ops import resize
from mmseg.registry import MODELS

_LEARNING_BN = dict(type='BN', requires_grad=True)
_RELU = dict(type='ReLU')


@MODELS.register_module()
class ICNet(BaseModule):
    """The three branches of the image cascade: the finer the image, the fewer layers see it.

    Three convolutions see the whole image, half of a ResNet sees it at half the size, and the other half of the ResNet,
    with pyramid pooling, sees the result of the first at half the size again.

    Args:
        backbone_cfg: config of a ResNet.
        in_channels: of the image.
        layer_channels: of the ResNet's second and last stage.
        light_branch_middle_channels: between the three convolutions.
        psp_out_channels: of the pyramid pooling.
        out_channels: of the three branches.
        pool_scales: cells of each grid of the pooling along a side.
        align_corners: how images and features are resized.

    Attributes:
        out_channels: of each returned feature, the finest first.
        smallest_side: of an image that can be halved so often.
    """

    def __init__(self, backbone_cfg: dict, in_channels: int = 3, layer_channels: Sequence[int] = (512, 2048),
                 light_branch_middle_channels: int = 32, psp_out_channels: int = 512,
                 out_channels: Sequence[int] = (64, 256, 256), pool_scales: Sequence[int] = (1, 2, 3, 6),
                 conv_cfg: dict | None = None, norm_cfg: dict = _LEARNING_BN, act_cfg: dict = _RELU,
                 align_corners: bool = False, init_cfg: dict | list | None = None):
        super().__init__(list(CONV_INIT) if init_cfg is None else init_cfg)
        if len(layer_channels) != 2 or len(out_channels) != 3:
            raise ValueError('ICNet takes 2 layer_channels and 3 out_channels, found '
                             f'{tuple(layer_channels)} and {tuple(out_channels)}')
        self.align_corners = align_corners
        self.backbone = MODELS.build(backbone_cfg)
        self.backbone.maxpool.ceil_mode = True  # as published
        shared = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        middle, top = layer_channels
        self.psp_modules = PPM(pool_scales, top, psp_out_channels, align_corners=align_corners, **shared)
        self.psp_bottleneck = ConvModule(top + len(pool_scales) * psp_out_channels, psp_out_channels, 3, padding=1,
                                         **shared)
        light = light_branch_middle_channels
        self.conv_sub1 = nn.Sequential(*(
            ConvModule(source, target, 3, stride=2, padding=1, **shared)
            for source, target in ((in_channels, light), (light, light), (light, out_channels[0]))))
        self.conv_sub2 = ConvModule(middle, out_channels[1], 1, **shared)
        self.conv_sub4 = ConvModule(psp_out_channels, out_channels[2], 1, **shared)
        self.out_channels = tuple(out_channels)
        first, second, *_ = backbone_cfg.get('strides', (1, 2, 2, 2))
        self.smallest_side = 8 * first * second - 2  # leaves two pixels of the second branch for the third to halve

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(B, in_channels, H, W) -> a feature (B, C, h, w) of each branch, by about 8, 16 and 32 smaller.

        The published ResNets with strides (1, 2, 1, 1) give those sizes; halving rounds down and pooling rounds up.
        """
        if any(side < self.smallest_side for side in x.shape[2:]):
            raise ValueError(f'this ICNet needs at least {self.smallest_side} x {self.smallest_side} pixels, found '
                             f'{x.shape[2]} x {x.shape[3]}: enlarge or pad the image')
        half = self._first_half(self._halve(x))
        quarter = self._second_half(self._halve(half))
        return self.conv_sub1(x), self.conv_sub2(half), self.conv_sub4(quarter)

    def _halve(self, x: torch.Tensor) -> torch.Tensor:
        return resize(x, scale_factor=0.5, mode='bilinear', align_corners=self.align_corners)

    def _first_half(self, x: torch.Tensor) -> torch.Tensor:
        net = self.backbone
        x = net.stem(x) if net.deep_stem else net.relu(net.norm1(net.conv1(x)))
        return net.layer2(net.layer1(net.maxpool(x)))

    def _second_half(self, x: torch.Tensor) -> torch.Tensor:
        x = self.backbone.layer4(self.backbone.layer3(x))
        return self.psp_bottleneck(torch.cat([*self.psp_modules(x), x], dim=1))
