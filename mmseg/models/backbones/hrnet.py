"""Deep High-Resolution Representation Learning for Visual Recognition: HRNet, https://arxiv.org/abs/1908.07919.

Branches at 1/4, 1/8, 1/16 and 1/32 of the image's size run side by side and exchange what they found after each module.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmcv.cnn import build_conv_layer, build_norm_layer
from mmengine.model import BaseModule, ModuleList, Sequential
from torch import nn

from mmseg.models.backbones.resnet import BasicBlock, Bottleneck, add_conv
from mmseg.models.utils import ResLayer, Upsample
from mmseg.models.utils.backbone_options import CONV_INIT, FreezableBackbone, choose_init_cfg, freeze
from mmseg.ops import resize
from mmseg.registry import MODELS

_BN = dict(type='BN', requires_grad=True)
_STEM = 64  # channels


def _conv_norm(in_channels: int, out_channels: int, kernel_size: int, stride: int, conv_cfg: dict | None,
               norm_cfg: dict) -> list[nn.Module]:
    return [build_conv_layer(conv_cfg, in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2,
                             bias=False),
            build_norm_layer(norm_cfg, out_channels)[1]]


def _halvings(in_channels: int, out_channels: int, times: int, ends_active: bool, **options) -> nn.Sequential:
    """Halve the size `times` times; the last step changes the channels and, if asked to, ends with an activation."""
    steps = []
    for rest in reversed(range(times)):
        layers = _conv_norm(in_channels, in_channels if rest else out_channels, 3, stride=2, **options)
        steps.append(nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if rest or ends_active else [])))
    return nn.Sequential(*steps)


class HRModule(BaseModule):
    """Residual blocks in every branch, then every branch gets the sum of all branches, brought to its own size.

    Args:
        num_branches: number of branches; each has half the size of the one before.
        blocks: class of the residual blocks.
        num_blocks, in_channels, num_channels: of each branch; it gives `num_channels * blocks.expansion` channels.
        multiscale_output: return all branches, not the finest one alone.
        with_cp: compute the blocks' activations again in the backward pass rather than keep them.
        block_init_cfg: how each block is initialised.
    """

    def __init__(self, num_branches: int, blocks: type[BaseModule], num_blocks: Sequence[int],
                 in_channels: Sequence[int], num_channels: Sequence[int], multiscale_output: bool = True,
                 with_cp: bool = False, conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 block_init_cfg: dict | None = None, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        for name, values in dict(num_blocks=num_blocks, in_channels=in_channels, num_channels=num_channels).items():
            if len(values) != num_branches:
                raise ValueError(f'num_branches={num_branches} needs as many {name}, found {list(values)}')
        options = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        self.num_branches = num_branches
        self.in_channels = [channels * blocks.expansion for channels in num_channels]  # of a module that follows
        self.branches = ModuleList(
            ResLayer(blocks, source, planes, count, with_cp=with_cp, init_cfg=block_init_cfg, **options)
            for source, planes, count in zip(in_channels, num_channels, num_blocks))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._exchange(source, target, **options) for source in range(num_branches))
            for target in range(num_branches if multiscale_output else 1))
        self.relu = nn.ReLU()

    def _exchange(self, source: int, target: int, **options) -> nn.Module:
        """Build what takes the branch `source` to the channels and about the size of the branch `target`."""
        channels = self.in_channels
        if source == target:
            return nn.Identity()
        if source < target:
            return _halvings(channels[source], channels[target], target - source, ends_active=False, **options)
        return nn.Sequential(*_conv_norm(channels[source], channels[target], 1, stride=1, **options),
                             Upsample(scale_factor=2**(source - target), mode='bilinear', align_corners=False))

    def forward(self, x: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """A feature (B, C, H, W) of each branch -> as many, or with `multiscale_output=False` the first alone."""
        x = [branch(feature) for branch, feature in zip(self.branches, x)]
        fused = []
        for target, layers in enumerate(self.fuse_layers):
            size = x[target].shape[2:]  # doubling an odd size misses it by a pixel
            first, *others = (resize(layer(feature), size, mode='bilinear', align_corners=False)
                              for layer, feature in zip(layers, x))
            fused.append(self.relu(sum(others, start=first)))
        return fused


@MODELS.register_module()
class HRNet(FreezableBackbone):
    """HRNet; returns the features of the four branches, fine to coarse.

    Args:
        extra: for each of `stage1` to `stage4` a dict of `num_modules`, `num_branches` (as many as the stage's
            number), `block` (`'BOTTLENECK'` or `'BASIC'`), `num_blocks` and `num_channels` of each branch.
        in_channels: of the image.
        norm_eval: keep the running statistics of every batch normalisation.
        with_cp: compute the blocks' activations again in the backward pass rather than keep them.
        frozen_stages: stages that do not learn, with what leads to the next; 0 is the stem alone, -1 none.
        zero_init_residual: let new blocks start as the identity.
        multiscale_output: return all branches, not the finest one alone.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    blocks_dict = {'BASIC': BasicBlock, 'BOTTLENECK': Bottleneck}

    def __init__(self, extra: Mapping[str, dict], in_channels: int = 3, conv_cfg: dict | None = None,
                 norm_cfg: dict = _BN, norm_eval: bool = False, with_cp: bool = False, frozen_stages: int = -1,
                 zero_init_residual: bool = False, multiscale_output: bool = True, pretrained: str | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg, default=list(CONV_INIT)))
        stages = [self._check(extra, number) for number in (1, 2, 3, 4)]
        self.extra = extra
        self.norm_eval = norm_eval
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp
        self.conv_options = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        self._zero_init = zero_init_residual and pretrained is None and init_cfg is None

        add_conv(self, 1, conv_cfg, norm_cfg, in_channels, _STEM, 3, stride=2, padding=1)
        add_conv(self, 2, conv_cfg, norm_cfg, _STEM, _STEM, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        block, (planes,), (blocks,) = (stages[0][key] for key in ('block', 'num_channels', 'num_blocks'))
        block = self.blocks_dict[block]
        self.layer1 = ResLayer(block, _STEM, planes, blocks, with_cp=with_cp, init_cfg=self._block_init(block),
                               **self.conv_options)
        channels = [planes * block.expansion]
        for number, stage in enumerate(stages[1:], start=2):
            wide = [planes * self.blocks_dict[stage['block']].expansion for planes in stage['num_channels']]
            self.add_module(f'transition{number - 1}', self._make_transition(channels, wide))
            self.add_module(f'stage{number}', self._make_stage(stage, wide, multiscale_output or number < 4))
            channels = wide

        branches = len(channels) if multiscale_output else 1
        self.out_channels = tuple(channels[:branches])
        self.out_strides = tuple(4 * 2**i for i in range(branches))
        self._freeze_stages()

    @classmethod
    def _check(cls, extra: Mapping[str, dict], number: int) -> dict:
        """Return the description of a stage, once it is sure to be one."""
        name = f'stage{number}'
        if name not in extra:
            raise ValueError(f'extra must describe stage1 to stage4: {name} is missing, found {list(extra)}')
        stage = extra[name]
        counts = {key: len(stage[key]) for key in ('num_blocks', 'num_channels')}
        if not stage['num_branches'] == number == counts['num_blocks'] == counts['num_channels']:
            raise ValueError(f'{name} has {number} branches, so num_branches must be {number}, with as many num_blocks '
                             f'and num_channels: found {stage["num_branches"]}, {list(stage["num_blocks"])} and '
                             f'{list(stage["num_channels"])}')
        if stage['block'] not in cls.blocks_dict:
            raise ValueError(f'block of {name} must be one of {list(cls.blocks_dict)}, found {stage["block"]!r}')
        return stage

    def _block_init(self, block: type[BaseModule]) -> dict | None:
        return dict(type='Constant', val=0, override=dict(name=block.last_norm)) if self._zero_init else None

    def _make_transition(self, before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
        """Build what leads from the branches of one stage to those of the next, which has one more."""
        layers = []
        for branch, wide in enumerate(after):
            if branch >= len(before):
                layers.append(_halvings(before[-1], wide, branch + 1 - len(before), ends_active=True,
                                        **self.conv_options))
            elif wide == before[branch]:
                layers.append(nn.Identity())
            else:
                layers.append(nn.Sequential(*_conv_norm(before[branch], wide, 3, stride=1, **self.conv_options),
                                            nn.ReLU(inplace=True)))
        return nn.ModuleList(layers)

    def _make_stage(self, stage: dict, channels: Sequence[int], multiscale_output: bool) -> Sequential:
        """Build the modules of a stage, the last of which may return its finest branch alone."""
        block = self.blocks_dict[stage['block']]
        last = stage['num_modules'] - 1
        return Sequential(*(
            HRModule(stage['num_branches'], block, stage['num_blocks'], channels, stage['num_channels'],
                     multiscale_output or i < last, self.with_cp, block_init_cfg=self._block_init(block),
                     **self.conv_options)
            for i in range(stage['num_modules'])))

    @property
    def norm1(self) -> nn.Module:
        return getattr(self, self.norm1_name)

    @property
    def norm2(self) -> nn.Module:
        return getattr(self, self.norm2_name)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> features (B, C, H / s, W / s) of the strides s = 4, 8, 16 and 32."""
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(self.norm2(self.conv2(x)))
        branches = [self.layer1(x)]
        for number in (2, 3, 4):
            # A branch goes on from its own; the new one starts from the coarsest.
            sources = [*branches, branches[-1]]
            transition = getattr(self, f'transition{number - 1}')
            branches = [layer(feature) for layer, feature in zip(transition, sources)]
            branches = getattr(self, f'stage{number}')(branches)
        return tuple(branches)

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        stages = [[self.layer1, self.transition1], [self.stage2, self.transition2], [self.stage3, self.transition3],
                  [self.stage4]]
        parts = [part for stage in stages[:self.frozen_stages] for part in stage]
        freeze(self.conv1, self.norm1, self.conv2, self.norm2, *parts)
