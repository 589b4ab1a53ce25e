"""MetaFormer Is Actually What You Need for Vision (PoolFormer), https://arxiv.org/abs/2111.11418."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.utils.attention import drop_path_rates
from mmseg.models.utils.backbone_options import FreezableBackbone, freeze
from mmseg.registry import MODELS

_GN = dict(type='GN', num_groups=1)
_GELU = dict(type='GELU')
_TRUNCATED_NORMAL = dict(type='TruncNormal', layer='Conv2d', std=.02, bias=0.)


class PatchEmbed(nn.Module):
    """A strided convolution `proj`: (B, in_channels, H, W) -> (B, embed_dim, H / stride, W / stride)."""

    def __init__(self, patch_size: int, stride: int, padding: int, in_channels: int, embed_dim: int):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dim, patch_size, stride, padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x)


class Pooling(nn.Module):
    """Mixes places by a moving average; the place itself is taken off, since the block adds it again."""

    def __init__(self, pool_size: int):
        super().__init__()
        self.pool = nn.AvgPool2d(pool_size, stride=1, padding=pool_size // 2, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pool(x) - x


class Mlp(nn.Module):
    """Two linear maps of each place, written as 1x1 convolutions."""

    def __init__(self, channels: int, hidden: int, act_cfg: dict, drop_rate: float):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.act = build_activation_layer(act_cfg)
        self.fc2 = nn.Conv2d(hidden, channels, 1)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class PoolFormerBlock(BaseModule):
    """Pooling and linear maps, each after a norm and beside a shortcut, with a learned scale of each channel.

    Args:
        channels: of input and output.
        mlp_ratio: channels between the linear maps for each of `channels`.
        layer_scale_init_value: where the scales start.
    """

    def __init__(self, channels: int, pool_size: int = 3, mlp_ratio: float = 4., norm_cfg: dict = _GN,
                 act_cfg: dict = _GELU, drop_rate: float = 0., drop_path_rate: float = 0.,
                 layer_scale_init_value: float = 1e-5):
        super().__init__()
        self.norm1 = build_norm_layer(norm_cfg, channels)[1]
        self.token_mixer = Pooling(pool_size)
        self.norm2 = build_norm_layer(norm_cfg, channels)[1]
        self.mlp = Mlp(channels, int(channels * mlp_ratio), act_cfg, drop_rate)
        self.drop_path = DropPath(drop_path_rate)
        self.layer_scale_1 = nn.Parameter(torch.full((channels,), layer_scale_init_value))
        self.layer_scale_2 = nn.Parameter(torch.full((channels,), layer_scale_init_value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) -> the same shape."""
        x = x + self.drop_path(self.layer_scale_1[:, None, None] * self.token_mixer(self.norm1(x)))
        return x + self.drop_path(self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x)))


@MODELS.register_module()
class PoolFormer(FreezableBackbone):
    """Four stages of :class:`PoolFormerBlock` with a strided convolution before each of them.

    `network` is the row of all stages and of the convolutions between them: its even members 0, 2, 4 and 6 are the
    stages.

    Args:
        arch: a name of `arch_settings`, or a mapping with `layers` and `embed_dims` of the stages, their `mlp_ratios`
            and `layer_scale_init_value`, where the learned scales of the channels start.
        pool_size: side of the square that is averaged.
        in_patch_size, in_stride, in_pad: kernel, stride and padding of the first convolution.
        down_patch_size, down_stride, down_pad: of the convolutions between stages.
        drop_rate: dropout after the linear maps.
        drop_path_rate: of the last block; the first one has 0.
        out_indices: members of `network` whose normalised output is returned, or one of them; negative ones count
            from the last.
        frozen_stages: -1 lets everything learn; 0 stops the first convolution and n also the first n of `network`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    arch_settings = {
        's12': dict(layers=(2, 2, 6, 2), embed_dims=(64, 128, 320, 512), layer_scale_init_value=1e-5),
        's24': dict(layers=(4, 4, 12, 4), embed_dims=(64, 128, 320, 512), layer_scale_init_value=1e-5),
        's36': dict(layers=(6, 6, 18, 6), embed_dims=(64, 128, 320, 512), layer_scale_init_value=1e-6),
        'm36': dict(layers=(6, 6, 18, 6), embed_dims=(96, 192, 384, 768), layer_scale_init_value=1e-6),
        'm48': dict(layers=(8, 8, 24, 8), embed_dims=(96, 192, 384, 768), layer_scale_init_value=1e-6),
    }

    def __init__(self, arch: str | Mapping = 's12', pool_size: int = 3, norm_cfg: dict = _GN, act_cfg: dict = _GELU,
                 in_patch_size: int = 7, in_stride: int = 4, in_pad: int = 2, down_patch_size: int = 3,
                 down_stride: int = 2, down_pad: int = 1, drop_rate: float = 0., drop_path_rate: float = 0.,
                 out_indices: int | Sequence[int] = -1, frozen_stages: int = 0, init_cfg: dict | list | None = None):
        super().__init__(init_cfg or dict(_TRUNCATED_NORMAL))
        if isinstance(arch, str) and arch not in self.arch_settings:
            raise ValueError(f'arch {arch!r} is not known: choose {", ".join(self.arch_settings)}, or give a mapping '
                             'with `layers`, `embed_dims` and `layer_scale_init_value`')
        sizes = self.arch_settings[arch] if isinstance(arch, str) else arch
        layers, widths = sizes['layers'], sizes['embed_dims']
        members = 2 * len(layers) - 1
        indices = [out_indices] if isinstance(out_indices, int) else list(out_indices)
        if not all(-members <= index < members for index in indices):
            raise ValueError(f'out_indices {indices} must lie in 0 to {members - 1}, the stages of arch={arch!r} and '
                             'the convolutions between them')
        self.out_indices = tuple(index % members for index in indices)
        self.frozen_stages = frozen_stages

        self.patch_embed = PatchEmbed(in_patch_size, in_stride, in_pad, 3, widths[0])
        rates = iter(drop_path_rates(drop_path_rate, sum(layers)))
        ratios = sizes.get('mlp_ratios', (4,) * len(layers))
        self.network = nn.ModuleList()
        for i, width in enumerate(widths):
            if i:
                self.network.append(PatchEmbed(down_patch_size, down_stride, down_pad, widths[i - 1], width))
            self.network.append(nn.Sequential(*(
                PoolFormerBlock(width, pool_size, ratios[i], norm_cfg, act_cfg, drop_rate, next(rates),
                                sizes['layer_scale_init_value']) for _ in range(layers[i]))))
        self.out_channels = tuple(widths[(index + 1) // 2] for index in self.out_indices)
        self.out_strides = tuple(in_stride * down_stride**((index + 1) // 2) for index in self.out_indices)
        for index, channels in zip(self.out_indices, self.out_channels):
            self.add_module(f'norm{index}', build_norm_layer(norm_cfg, channels)[1])
        self._freeze_stages()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, 3, H, W) -> a feature (B, C, H / stride, W / stride) of each member of `network` in `out_indices`."""
        x = self.patch_embed(x)
        features = []
        for i, member in enumerate(self.network):
            x = member(x)
            if i in self.out_indices:
                features.append(getattr(self, f'norm{i}')(x))
        return tuple(features)

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        frozen = range(self.frozen_stages)
        norms = [getattr(self, f'norm{i}') for i in frozen if i in self.out_indices]
        freeze(self.patch_embed, *self.network[:self.frozen_stages], *norms)
