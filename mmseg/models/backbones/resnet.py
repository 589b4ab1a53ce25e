"""Deep residual networks, https://arxiv.org/abs/1512.03385.

The variants C (a stem of three 3x3 convolutions) and D (a shortcut that averages before it projects) are those of "Bag
of Tricks for Image Classification", https://arxiv.org/abs/1812.01187. For segmentation the strides of the last stages
are exchanged for dilations, as DeepLab does.
"""
from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import accumulate
from operator import mul

import torch
from mmcv.cnn import build_conv_layer, build_norm_layer, build_plugin_layer
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.utils.backbone_options import CONV_INIT, FreezableBackbone, checkpointed, choose_init_cfg, freeze
from mmseg.models.utils.res_layer import ResLayer
from mmseg.registry import MODELS

_BN = dict(type='BN')
_LEARNING_BN = dict(type='BN', requires_grad=True)


def add_conv(owner: nn.Module, index: int, conv_cfg: dict | None, norm_cfg: dict, in_channels: int, out_channels: int,
             kernel_size: int, **options) -> None:
    """Give `owner` a convolution `conv{index}` and its normalisation, whose name follows from its type: bn1, gn1, …"""
    conv = build_conv_layer(conv_cfg, in_channels, out_channels, kernel_size, bias=False, **options)
    owner.add_module(f'conv{index}', conv)
    name, norm = build_norm_layer(norm_cfg, out_channels, postfix=index)
    owner.add_module(name, norm)
    setattr(owner, f'norm{index}_name', name)


class _Block(BaseModule):
    """`relu(f(x) + shortcut(x))`; a subclass defines f as `transform`."""

    expansion: int  # output channels for each of `planes`
    last_norm: str  # the normalisation that starts at zero, so that a new block is the identity

    def __init__(self, with_cp: bool, init_cfg: dict | None):
        super().__init__(init_cfg)
        self.with_cp = with_cp
        self.relu = nn.ReLU(inplace=True)

    @property
    def norm1(self) -> nn.Module:
        return getattr(self, self.norm1_name)

    @property
    def norm2(self) -> nn.Module:
        return getattr(self, self.norm2_name)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inplanes, H, W) -> (B, planes * expansion, H / stride, W / stride)."""
        return self.relu(checkpointed(self, self._sum, x) if self.with_cp else self._sum(x))

    def _sum(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.transform(x) + shortcut


class BasicBlock(_Block):
    """Two 3x3 convolutions beside a shortcut; the block of ResNet-18 and 34. `style` makes no difference to it."""

    expansion = 1
    last_norm = 'norm2'

    def __init__(self, inplanes: int, planes: int, stride: int = 1, dilation: int = 1,
                 downsample: nn.Module | None = None, style: str = 'pytorch', with_cp: bool = False,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, dcn: dict | None = None,
                 plugins: Sequence[dict] | None = None, init_cfg: dict | None = None):
        super().__init__(with_cp, init_cfg)
        if dcn is not None or plugins is not None:
            raise NotImplementedError('dcn and plugins need bottlenecks: choose depth 50, 101 or 152, or drop them')
        add_conv(self, 1, conv_cfg, norm_cfg, inplanes, planes, 3, stride=stride, padding=dilation, dilation=dilation)
        add_conv(self, 2, conv_cfg, norm_cfg, planes, planes, 3, padding=1)
        self.downsample = downsample

    def transform(self, x: torch.Tensor) -> torch.Tensor:
        """The residual function f."""
        x = self.relu(self.norm1(self.conv1(x)))
        return self.norm2(self.conv2(x))


class Bottleneck(_Block):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; the block of ResNet-50, 101 and 152.

    Args:
        inplanes: channels of the input.
        planes: the output has four times as many channels.
        dilation: of the 3x3 convolution.
        downsample: the shortcut where input and output differ in shape.
        style: `'pytorch'` gives the stride to the 3x3 convolution, `'caffe'` to the first one.
        with_cp: compute the activations again in the backward pass rather than keep them.
        dcn: config of a deformable convolution for the 3x3 one; needs the full mmcv.
        plugins: layers to insert, `dict(cfg=dict(type=...), position='after_conv1' | 'after_conv2' | 'after_conv3')`.
        width: channels between the convolutions; `planes` where None.
        groups: of the 3x3 convolution.
    """

    expansion = 4
    last_norm = 'norm3'

    def __init__(self, inplanes: int, planes: int, stride: int = 1, dilation: int = 1,
                 downsample: nn.Module | None = None, style: str = 'pytorch', with_cp: bool = False,
                 conv_cfg: dict | None = None, norm_cfg: dict = _BN, dcn: dict | None = None,
                 plugins: Sequence[dict] | None = None, init_cfg: dict | None = None, *, width: int | None = None,
                 groups: int = 1):
        super().__init__(with_cp, init_cfg)
        if style not in ('pytorch', 'caffe'):
            raise ValueError(f"style must be 'pytorch' or 'caffe', found {style!r}")
        strides = (1, stride) if style == 'pytorch' else (stride, 1)
        width = width or planes
        outplanes = planes * self.expansion
        add_conv(self, 1, conv_cfg, norm_cfg, inplanes, width, 1, stride=strides[0])
        add_conv(self, 2, deformable(dcn) or conv_cfg, norm_cfg, width, width, 3, stride=strides[1],
                 padding=dilation, dilation=dilation, groups=groups)
        add_conv(self, 3, conv_cfg, norm_cfg, width, outplanes, 1)
        self.downsample = downsample
        self.plugin_names = {
            position: self.make_block_plugins(channels, [p['cfg'] for p in plugins or () if p['position'] == position])
            for position, channels in dict(after_conv1=width, after_conv2=width, after_conv3=outplanes).items()}

    @property
    def norm3(self) -> nn.Module:
        return getattr(self, self.norm3_name)

    def make_block_plugins(self, in_channels: int, plugins: Sequence[dict]) -> list[str]:
        """Build layers from their configs, `postfix` being part of the name; return the names that they got here."""
        names = []
        for cfg in map(dict, plugins):
            name, layer = build_plugin_layer(cfg, postfix=cfg.pop('postfix', ''), in_channels=in_channels)
            if hasattr(self, name):
                raise ValueError(f'two plugins are called {name!r}: give one of them a `postfix` in its cfg')
            self.add_module(name, layer)
            names.append(name)
        return names

    def forward_plugin(self, x: torch.Tensor, plugin_names: Sequence[str]) -> torch.Tensor:
        """Apply the named plugins one after another."""
        for name in plugin_names:
            x = getattr(self, name)(x)
        return x

    def transform(self, x: torch.Tensor) -> torch.Tensor:
        """The residual function f."""
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.forward_plugin(x, self.plugin_names['after_conv1'])
        x = self.relu(self.norm2(self.conv2(x)))
        x = self.forward_plugin(x, self.plugin_names['after_conv2'])
        x = self.norm3(self.conv3(x))
        return self.forward_plugin(x, self.plugin_names['after_conv3'])


def deformable(dcn: dict | None) -> dict | None:
    """The config of the deformable convolution in place of a block's 3x3 one, or None for an ordinary one."""
    if dcn is None or dcn.get('fallback_on_stride'):
        return None
    if find_spec('mmcv._ext') is None:
        raise ImportError(f'dcn={dcn} needs the compiled operators of the full mmcv, and this is mmcv-lite: run '
                          '`pip uninstall mmcv-lite && mim install mmcv`, or take `dcn` out of the backbone')
    import mmcv.ops  # noqa: F401 (registers the deformable convolutions)
    return {key: value for key, value in dcn.items() if key != 'fallback_on_stride'}


@MODELS.register_module()
class ResNet(FreezableBackbone):
    """ResNet with 18, 34, 50, 101 or 152 layers; returns the features of the stages `out_indices`.

    Args:
        depth: number of layers.
        in_channels: of the image.
        stem_channels: of the stem's output.
        base_channels: width of the first stage's blocks; each stage doubles it.
        num_stages: how many of the four stages there are.
        strides: of the stages' first blocks, after the stem's 4.
        dilations: of the stages' 3x3 convolutions.
        out_indices: stages whose output is returned.
        style: `'pytorch'` or `'caffe'`, see :class:`Bottleneck`.
        deep_stem: three 3x3 convolutions in place of the 7x7 one.
        avg_down: shortcuts average before they project.
        frozen_stages: stages that do not learn, counted from the first; 0 is the stem alone, -1 none.
        norm_eval: keep the running statistics of every batch normalisation.
        dcn: config of the deformable convolution in the stages of `stage_with_dcn`.
        plugins: layers inside the blocks, `dict(cfg=dict(type=...), position='after_conv2', stages=(False, True, True,
            True))`; without `stages`, in all.
        multi_grid: dilations of the last stage's blocks.
        contract_dilation: give each stage's first block half its dilation.
        with_cp: keep the blocks' inputs only and compute their activations again in the backward pass.
        zero_init_residual: let new blocks start as the identity.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    arch_settings = {
        18: (BasicBlock, (2, 2, 2, 2)), 34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)), 101: (Bottleneck, (3, 4, 23, 3)), 152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(self, depth: int, in_channels: int = 3, stem_channels: int = 64, base_channels: int = 64,
                 num_stages: int = 4, strides: Sequence[int] = (1, 2, 2, 2), dilations: Sequence[int] = (1, 1, 1, 1),
                 out_indices: Sequence[int] = (0, 1, 2, 3), style: str = 'pytorch', deep_stem: bool = False,
                 avg_down: bool = False, frozen_stages: int = -1, conv_cfg: dict | None = None,
                 norm_cfg: dict = _LEARNING_BN, norm_eval: bool = False, dcn: dict | None = None,
                 stage_with_dcn: Sequence[bool] = (False, False, False, False), plugins: Sequence[dict] | None = None,
                 multi_grid: Sequence[int] | None = None, contract_dilation: bool = False, with_cp: bool = False,
                 zero_init_residual: bool = True, pretrained: str | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg, default=list(CONV_INIT)))
        self._check(depth, num_stages, strides, dilations, out_indices)
        block, self.stage_blocks = self.arch_settings[depth]
        self.depth = depth
        self.num_stages = num_stages
        self.deep_stem = deep_stem
        self.out_indices = tuple(sorted(out_indices))
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        self._make_stem(in_channels, stem_channels, conv_cfg, norm_cfg)
        starts_anew = pretrained is None and init_cfg is None
        block_init = dict(type='Constant', val=0, override=dict(name=block.last_norm))
        shared = dict(block=block, style=style, avg_down=avg_down, with_cp=with_cp, conv_cfg=conv_cfg,
                      norm_cfg=norm_cfg, contract_dilation=contract_dilation,
                      init_cfg=block_init if zero_init_residual and starts_anew else None)
        self.res_layers = []
        inplanes, channels = stem_channels, []
        for i in range(num_stages):
            planes = base_channels * 2**i
            layer = self.make_res_layer(
                inplanes=inplanes, planes=planes, num_blocks=self.stage_blocks[i], stride=strides[i],
                dilation=dilations[i], dcn=dcn if stage_with_dcn[i] else None,
                plugins=self.make_stage_plugins(plugins, i) if plugins is not None else None,
                multi_grid=multi_grid if i == len(self.stage_blocks) - 1 else None, **shared)
            self.res_layers.append(f'layer{i + 1}')
            self.add_module(self.res_layers[-1], layer)
            inplanes = planes * block.expansion
            channels.append(inplanes)

        stage_strides = list(accumulate(strides, mul, initial=4))[1:]
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.out_strides = tuple(stage_strides[i] for i in self.out_indices)
        self._freeze_stages()

    @classmethod
    def _check(cls, depth: int, num_stages: int, strides: Sequence[int], dilations: Sequence[int],
               out_indices: Sequence[int]) -> None:
        if depth not in cls.arch_settings:
            raise KeyError(f'{cls.__name__} comes with depth {", ".join(map(str, cls.arch_settings))}, found {depth}')
        if not 1 <= num_stages <= 4 or not len(strides) == len(dilations) == num_stages:
            raise ValueError(f'num_stages must be 1 to 4, with as many strides and dilations: found num_stages='
                             f'{num_stages}, strides={tuple(strides)} and dilations={tuple(dilations)}')
        if max(out_indices) >= num_stages:
            raise ValueError(f'out_indices {tuple(out_indices)} must be below num_stages, which is {num_stages}')

    def _make_stem(self, in_channels: int, stem_channels: int, conv_cfg: dict | None, norm_cfg: dict) -> None:
        self.relu = nn.ReLU(inplace=True)
        if self.deep_stem:
            half = stem_channels // 2
            layers = []
            for source, target, stride in ((in_channels, half, 2), (half, half, 1), (half, stem_channels, 1)):
                layers += [build_conv_layer(conv_cfg, source, target, 3, stride=stride, padding=1, bias=False),
                           build_norm_layer(norm_cfg, target)[1], nn.ReLU(inplace=True)]
            self.stem = nn.Sequential(*layers)
        else:
            add_conv(self, 1, conv_cfg, norm_cfg, in_channels, stem_channels, 7, stride=2, padding=3)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

    @property
    def norm1(self) -> nn.Module:
        return getattr(self, self.norm1_name)

    def make_stage_plugins(self, plugins: Sequence[dict], stage_idx: int) -> list[dict]:
        """Return the plugins of one stage, without their `stages`."""
        for plugin in plugins:
            if len(plugin.get('stages') or range(self.num_stages)) != self.num_stages:
                raise ValueError(f'stages of a plugin must tell yes or no for each of {self.num_stages} stages, found '
                                 f'{plugin["stages"]}')
        return [{key: value for key, value in plugin.items() if key != 'stages'} for plugin in plugins
                if plugin.get('stages') is None or plugin['stages'][stage_idx]]

    def make_res_layer(self, **kwargs) -> ResLayer:
        """Build a stage; subclasses add arguments for their blocks."""
        return ResLayer(**kwargs)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> a feature (B, C, H / stride, W / stride) of each stage in `out_indices`."""
        x = self.stem(x) if self.deep_stem else self.relu(self.norm1(self.conv1(x)))
        x = self.maxpool(x)
        features = []
        for stage, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if stage in self.out_indices:
                features.append(x)
        return tuple(features)

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        stem = [self.stem] if self.deep_stem else [self.conv1, self.norm1]
        freeze(*stem, *(getattr(self, name) for name in self.res_layers[:self.frozen_stages]))


@MODELS.register_module()
class ResNetV1c(ResNet):
    """ResNet with a stem of three 3x3 convolutions."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs, deep_stem=True, avg_down=False)


@MODELS.register_module()
class ResNetV1d(ResNet):
    """ResNet with a stem of three 3x3 convolutions and shortcuts that average before they project."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs, deep_stem=True, avg_down=True)
