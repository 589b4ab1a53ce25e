"""Dense Prediction Transformer (DPT), https://arxiv.org/abs/2103.13413."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, Linear, build_activation_layer
from mmengine.model import BaseModule, ModuleList
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import nchw_to_nlc, nlc_to_nchw
from mmseg.ops import resize
from mmseg.registry import MODELS

_BN = dict(type='BN')
_RELU = dict(type='ReLU')
_WIDTHS = (96, 192, 384, 768)


class ReassembleBlocks(BaseModule):
    """Make maps of strides 4, 8, 16 and 32 from pairs of a map of one stride and a class token.

    Args:
        in_channels: of maps and class tokens.
        out_channels: of each of the four results.
        readout_type: what becomes of the class token: `'ignore'`; `'add'` to every place; `'project'` together with
            every place to `in_channels`.
        patch_size: stride of the maps; 16 gives the strides above.
    """

    def __init__(self, in_channels: int = 768, out_channels: Sequence[int] = _WIDTHS, readout_type: str = 'ignore',
                 patch_size: int = 16, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if readout_type not in ('ignore', 'add', 'project'):
            raise ValueError(f"readout_type must be 'ignore', 'add' or 'project', found {readout_type!r}")
        self.readout_type = readout_type
        self.patch_size = patch_size
        self.projects = ModuleList(ConvModule(in_channels, wide, 1, act_cfg=None) for wide in out_channels)
        first, second, _, last = out_channels
        self.resize_layers = ModuleList([
            nn.ConvTranspose2d(first, first, 4, stride=4), nn.ConvTranspose2d(second, second, 2, stride=2),
            nn.Identity(), nn.Conv2d(last, last, 3, stride=2, padding=1)])
        if readout_type == 'project':
            self.readout_projects = ModuleList(
                nn.Sequential(Linear(2 * in_channels, in_channels), build_activation_layer(dict(type='GELU')))
                for _ in out_channels)

    def _read_out(self, x: torch.Tensor, cls_token: torch.Tensor, level: int) -> torch.Tensor:
        """(B, C, h, w) and (B, C) -> (B, C, h, w)."""
        if self.readout_type == 'ignore':
            return x
        if self.readout_type == 'add':
            return x + cls_token[:, :, None, None]
        tokens = nchw_to_nlc(x)
        tokens = torch.cat([tokens, cls_token[:, None].expand_as(tokens)], dim=-1)  # B (h w) 2C
        return nlc_to_nchw(self.readout_projects[level](tokens), x.shape[2:])

    def forward(self, inputs: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
        """Pairs (B, in_channels, h, w) and (B, in_channels) -> (B, C, 4h, 4w), (2h, 2w), (h, w) and (h/2, w/2)."""
        maps = [self._read_out(x, cls_token, level) for level, (x, cls_token) in enumerate(inputs)]
        return [enlarge(project(x)) for x, project, enlarge in zip(maps, self.projects, self.resize_layers)]


class PreActResidualConvUnit(BaseModule):
    """Two 3x3 convolutions, each after an activation and before a norm, beside a shortcut.

    Args:
        stride, dilation: of the first convolution.
    """

    def __init__(self, in_channels: int, act_cfg: dict, norm_cfg: dict, stride: int = 1, dilation: int = 1,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        # The input stays as it is, for the shortcut.
        shared = dict(norm_cfg=norm_cfg, act_cfg=act_cfg, bias=False, order=('act', 'conv', 'norm'), inplace=False)
        self.conv1 = ConvModule(in_channels, in_channels, 3, stride, dilation, dilation, **shared)
        self.conv2 = ConvModule(in_channels, in_channels, 3, padding=1, **shared)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> the same shape."""
        return self.conv2(self.conv1(inputs)) + inputs


class FeatureFusionBlock(BaseModule):
    """Add the finer feature, if there is one, refine the sum and double its size.

    Args:
        in_channels: of both.
        expand: let the result have half as many channels.
        align_corners: how the sum is enlarged.
    """

    def __init__(self, in_channels: int, act_cfg: dict, norm_cfg: dict, expand: bool = False,
                 align_corners: bool = True, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.out_channels = in_channels // 2 if expand else in_channels
        self.expand = expand
        self.align_corners = align_corners
        self.project = ConvModule(in_channels, self.out_channels, 1, act_cfg=None, bias=True)
        self.res_conv_unit1 = PreActResidualConvUnit(in_channels, act_cfg, norm_cfg)
        self.res_conv_unit2 = PreActResidualConvUnit(in_channels, act_cfg, norm_cfg)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, h, w) and perhaps a finer feature -> (B, out_channels, 2h, 2w)."""
        x, *finer = inputs
        if finer:
            skipped = resize(finer[0], x.shape[2:], mode='bilinear', align_corners=False)
            x = x + self.res_conv_unit1(skipped)
        x = self.res_conv_unit2(x)
        x = resize(x, scale_factor=2, mode='bilinear', align_corners=self.align_corners)
        return self.project(x)


@MODELS.register_module()
class DPTHead(BaseDecodeHead):
    """Reassemble four depths of a Vision Transformer as a pyramid and fuse it from the coarsest level on.

    Args:
        embed_dims: channels of the transformer, which returns pairs of a map and its class token.
        post_process_channels: of the reassembled levels.
        readout_type, patch_size: see :class:`ReassembleBlocks`.
        expand_channels: double the channels of each level against the one before.
    """

    def __init__(self, embed_dims: int = 768, post_process_channels: Sequence[int] = _WIDTHS,
                 readout_type: str = 'ignore', patch_size: int = 16, expand_channels: bool = False,
                 act_cfg: dict = _RELU, norm_cfg: dict = _BN, **kwargs):
        super().__init__(act_cfg=act_cfg, norm_cfg=norm_cfg, **kwargs)
        if len(post_process_channels) != 4:
            raise ValueError(f'post_process_channels must be four, found {list(post_process_channels)}')
        self.expand_channels = expand_channels
        self.reassemble_blocks = ReassembleBlocks(embed_dims, post_process_channels, readout_type, patch_size)
        self.post_process_channels = [
            wide * 2**level if expand_channels else wide for level, wide in enumerate(post_process_channels)]
        self.convs = ModuleList(ConvModule(wide, self.channels, 3, padding=1, act_cfg=None, bias=False)
                                for wide in self.post_process_channels)
        self.fusion_blocks = ModuleList(FeatureFusionBlock(self.channels, act_cfg, norm_cfg) for _ in self.convs)
        self.fusion_blocks[0].res_conv_unit1 = None  # nothing is added to the coarsest level
        self.project = ConvModule(self.channels, self.channels, 3, padding=1, norm_cfg=norm_cfg)

    def forward(self, inputs: Sequence[Sequence[torch.Tensor]]) -> torch.Tensor:
        """Pairs of maps and class tokens -> logits (B, num_classes, 8h, 8w)."""
        levels = self.reassemble_blocks(self._transform_inputs(inputs))
        *finer, coarsest = (conv(x) for conv, x in zip(self.convs, levels))
        first, *others = self.fusion_blocks
        x = first(coarsest)
        for fuse, level in zip(others, reversed(finer)):
            x = fuse(x, level)
        return self.cls_seg(self.project(x))
