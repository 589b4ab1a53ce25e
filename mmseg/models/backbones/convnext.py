"""A ConvNet for the 2020s (ConvNeXt), https://arxiv.org/abs/2201.03545."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmcv.cnn import build_activation_layer
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.utils.attention import drop_path_rates
from mmseg.models.utils.backbone_options import FreezableBackbone, checkpointed, freeze
from mmseg.models.utils.layer_norm import LayerNorm2d
from mmseg.registry import MODELS

_LN2D = dict(type=LayerNorm2d, eps=1e-6)
_GELU = dict(type='GELU')
_TRUNCATED_NORMAL = (dict(type='TruncNormal', layer=['Conv2d', 'Linear'], std=.02, bias=0.),
                     dict(type='Constant', layer=['LayerNorm', 'LayerNorm2d'], val=1., bias=0.))


class ConvNeXtBlock(BaseModule):
    """A depthwise 7x7 convolution, a norm and two linear maps of each place, beside a shortcut.

    Args:
        channels: of input and output; four times as many stand between the linear maps.
        drop_path_rate: probability that a sample takes the shortcut alone.
        layer_scale_init_value: where the learned scale of each channel starts; 0 for none.
        with_cp: compute the activations again in the backward pass rather than keep them.
    """

    def __init__(self, channels: int, norm_cfg: dict = _LN2D, act_cfg: dict = _GELU, drop_path_rate: float = 0.,
                 layer_scale_init_value: float = 1e-6, with_cp: bool = False):
        super().__init__()
        self.with_cp = with_cp
        self.depthwise_conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = MODELS.build(dict(norm_cfg, num_channels=channels))
        self.pointwise_conv1 = nn.Linear(channels, 4 * channels)
        self.act = build_activation_layer(act_cfg)
        self.pointwise_conv2 = nn.Linear(4 * channels, channels)
        self.gamma = (nn.Parameter(torch.full((channels,), float(layer_scale_init_value)))
                      if layer_scale_init_value > 0 else None)
        self.drop_path = DropPath(drop_path_rate)

    def _transform(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.depthwise_conv(x).permute(0, 2, 3, 1), channels_last=True)  # B C H W -> B H W C
        x = self.pointwise_conv2(self.act(self.pointwise_conv1(x)))
        x = x if self.gamma is None else x * self.gamma
        return x.permute(0, 3, 1, 2)  # B H W C -> B C H W

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) -> the same shape."""
        changed = checkpointed(self, self._transform, x) if self.with_cp and self.training else self._transform(x)
        return x + self.drop_path(changed)


@MODELS.register_module()
class ConvNeXt(FreezableBackbone):
    """Four stages of :class:`ConvNeXtBlock`; returns the normalised features of the stages `out_indices`.

    Its patches do not overlap: what an image has beyond a multiple of a stage's stride is not seen there.

    Args:
        arch: a name of `arch_settings`, or a mapping with `depths` and `channels` of the stages.
        in_channels: of the image.
        stem_patch_size: side of the patches that the first convolution takes.
        norm_cfg: normalisation, `dict(type='LN2d', eps=...)`.
        drop_path_rate: of the last block; the first one has 0.
        layer_scale_init_value: where the learned scales of the channels start; 0 for none.
        out_indices: stages whose output is returned, or one of them; negative ones count from the last.
        frozen_stages: how many stages, from the first, do not learn.
        gap_before_final_norm: return the mean of all places, (B, C), as a classifier needs it.
        with_cp: keep the blocks' inputs only and compute their activations again in the backward pass.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    arch_settings = {
        'tiny': dict(depths=(3, 3, 9, 3), channels=(96, 192, 384, 768)),
        'small': dict(depths=(3, 3, 27, 3), channels=(96, 192, 384, 768)),
        'base': dict(depths=(3, 3, 27, 3), channels=(128, 256, 512, 1024)),
        'large': dict(depths=(3, 3, 27, 3), channels=(192, 384, 768, 1536)),
        'xlarge': dict(depths=(3, 3, 27, 3), channels=(256, 512, 1024, 2048)),
    }

    def __init__(self, arch: str | Mapping = 'tiny', in_channels: int = 3, stem_patch_size: int = 4,
                 norm_cfg: dict = _LN2D, act_cfg: dict = _GELU, drop_path_rate: float = 0.,
                 layer_scale_init_value: float = 1e-6, out_indices: int | Sequence[int] = -1, frozen_stages: int = 0,
                 gap_before_final_norm: bool = True, with_cp: bool = False, init_cfg: dict | list | None = None):
        super().__init__(init_cfg or list(_TRUNCATED_NORMAL))
        self.depths, self.channels = self._sizes(arch)
        stages = len(self.depths)
        indices = [out_indices] if isinstance(out_indices, int) else list(out_indices)
        if not all(-stages <= index < stages for index in indices):
            raise ValueError(f'out_indices {indices} must lie in 0 to {stages - 1}, the stages of arch={arch!r}')
        self.out_indices = tuple(index % stages for index in indices)
        self.frozen_stages = frozen_stages
        self.gap_before_final_norm = gap_before_final_norm

        rates = iter(drop_path_rates(drop_path_rate, sum(self.depths)))
        self.downsample_layers, self.stages = nn.ModuleList(), nn.ModuleList()
        for i, channels in enumerate(self.channels):
            norm = MODELS.build(dict(norm_cfg, num_channels=self.channels[i - 1] if i else channels))
            self.downsample_layers.append(nn.Sequential(norm, nn.Conv2d(self.channels[i - 1], channels, 2, stride=2))
                                          if i else
                                          nn.Sequential(nn.Conv2d(in_channels, channels, stem_patch_size,
                                                                  stride=stem_patch_size), norm))
            self.stages.append(nn.Sequential(*(
                ConvNeXtBlock(channels, norm_cfg, act_cfg, next(rates), layer_scale_init_value, with_cp)
                for _ in range(self.depths[i]))))
            if i in self.out_indices:
                self.add_module(f'norm{i}', MODELS.build(dict(norm_cfg, num_channels=channels)))
        self.out_channels = tuple(self.channels[i] for i in self.out_indices)
        self.out_strides = tuple(stem_patch_size * 2**i for i in self.out_indices)
        self._freeze_stages()

    @classmethod
    def _sizes(cls, arch: str | Mapping) -> tuple[Sequence[int], Sequence[int]]:
        if isinstance(arch, str) and arch not in cls.arch_settings:
            raise ValueError(f'arch {arch!r} is not known: choose {", ".join(cls.arch_settings)}, or give a mapping '
                             'with `depths` and `channels`')
        sizes = cls.arch_settings[arch] if isinstance(arch, str) else arch
        if len(sizes['depths']) != len(sizes['channels']):
            raise ValueError(f'arch needs as many depths as channels, found {sizes["depths"]} and {sizes["channels"]}')
        return sizes['depths'], sizes['channels']

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, in_channels, H, W) -> a feature (B, C, H // stride, W // stride) of each stage in `out_indices`."""
        self._check_size(x)
        features = []
        for i, (downsample, stage) in enumerate(zip(self.downsample_layers, self.stages)):
            x = stage(downsample(x))
            if i in self.out_indices:
                feature = x.mean((2, 3), keepdim=True) if self.gap_before_final_norm else x
                feature = getattr(self, f'norm{i}')(feature)
                features.append(feature.flatten(1) if self.gap_before_final_norm else feature)
        return tuple(features)

    def _check_size(self, x: torch.Tensor) -> None:
        least = self.downsample_layers[0][0].stride[0] * 2**(len(self.stages) - 1)
        if any(side < least for side in x.shape[2:]):
            raise ValueError(f'ConvNeXt halves the image down to stride {least}, so it must have {least} x {least} '
                             f'pixels at least, found {x.shape[2]} x {x.shape[3]}: resize or pad it')

    def _freeze_stages(self) -> None:
        freeze(*self.downsample_layers[:self.frozen_stages], *self.stages[:self.frozen_stages])
