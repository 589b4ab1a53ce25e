"""A pyramid from features of one size by transposed convolutions and pooling, as BEiT and MAE use it."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from torch import nn

from mmseg.registry import MODELS

_SYNC_BN = dict(type='SyncBN', requires_grad=True)
_RESCALES = (4, 2, 1, 0.5)


@MODELS.register_module()
class Feature2Pyramid(nn.Module):
    """Resize each feature by its own scale: 4 and 2 by transposed convolutions, 0.5 and 0.25 by maximum pooling.

    Args:
        embed_dim: channels of every feature.
        rescales: of the features, each one of 4, 2, 1, 0.5 and 0.25.
        norm_cfg: normalisation between the two convolutions of the scale 4.

    Attributes:
        out_channels: of each output.
    """

    def __init__(self, embed_dim: int, rescales: Sequence[float] = _RESCALES, norm_cfg: dict = _SYNC_BN):
        super().__init__()
        unknown = [scale for scale in rescales if scale not in (4, 2, 1, 0.5, 0.25)]
        if unknown:
            raise KeyError(f'rescales may hold 4, 2, 1, 0.5 and 0.25, found {unknown}')
        self.rescales = tuple(rescales)
        self.out_channels = (embed_dim,) * len(self.rescales)
        if 4 in rescales:
            self.upsample_4x = nn.Sequential(
                nn.ConvTranspose2d(embed_dim, embed_dim, 2, stride=2), build_norm_layer(norm_cfg, embed_dim)[1],
                nn.GELU(), nn.ConvTranspose2d(embed_dim, embed_dim, 2, stride=2))
        if 2 in rescales:
            self.upsample_2x = nn.Sequential(nn.ConvTranspose2d(embed_dim, embed_dim, 2, stride=2))
        self.downsample_2x = nn.MaxPool2d(2, stride=2)
        self.downsample_4x = nn.MaxPool2d(4, stride=4)

    def forward(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Features (B, embed_dim, H, W) -> features (B, embed_dim, H * scale, W * scale)."""
        if len(inputs) != len(self.rescales):
            raise ValueError(f'{len(self.rescales)} rescales need as many features, found {len(inputs)}')
        return tuple(self._rescale(x, scale) for x, scale in zip(inputs, self.rescales))

    def _rescale(self, x: torch.Tensor, scale: float) -> torch.Tensor:
        if scale == 1:
            return x
        name = f'upsample_{int(scale)}x' if scale > 1 else f'downsample_{int(1 / scale)}x'
        return getattr(self, name)(x)
