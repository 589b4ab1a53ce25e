"""PSANet: Point-wise Spatial Attention Network for Scene Parsing, ECCV 2018."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.ops import psa_mask, resize
from mmseg.ops.sizes import same_size
from mmseg.registry import MODELS


@MODELS.register_module()
class PSAHead(BaseDecodeHead):
    """Every place predicts from where it collects, and to where it distributes, information.

    Args:
        mask_size: height and width of the predicted attention: around a place, twice the feature's size less 1; with
            `compact`, the feature's size itself.
        psa_type: `'collect'`, `'distribute'` or `'bi-direction'`.
        compact: the attention is predicted for absolute places.
        shrink_factor: how much smaller the feature is made for the attention.
        normalization_factor: the gathered sum is divided by it.
        psa_softmax: let the weights of a place add up to 1.
    """

    def __init__(self, mask_size: tuple[int, int], psa_type: str = 'bi-direction', compact: bool = False,
                 shrink_factor: int = 2, normalization_factor: float = 1.0, psa_softmax: bool = True, **kwargs):
        if psa_type not in ('collect', 'distribute', 'bi-direction'):
            raise ValueError(f"psa_type must be 'collect', 'distribute' or 'bi-direction', found {psa_type!r}")
        super().__init__(**kwargs)
        self.mask_size = mask_size
        self.psa_type = psa_type
        self.compact = compact
        self.shrink_factor = shrink_factor
        self.normalization_factor = normalization_factor
        self.psa_softmax = psa_softmax
        self.reduce = self._conv(self.in_channels, self.channels, 1)
        self.attention = self._make_attention()
        branches = 1
        if psa_type == 'bi-direction':
            branches = 2
            self.reduce_p = self._conv(self.in_channels, self.channels, 1)
            self.attention_p = self._make_attention()
        # Published weights were trained with this border around the context, which shrinks when both are made one size.
        self.proj = self._conv(branches * self.channels, self.in_channels, 1, padding=1)
        self.bottleneck = self._conv(2 * self.in_channels, self.channels, 3, padding=1)

    def _conv(self, in_channels: int, out_channels: int, kernel_size: int, **kwargs) -> ConvModule:
        return ConvModule(in_channels, out_channels, kernel_size, **self.conv_options, **kwargs)

    def _make_attention(self) -> nn.Sequential:
        places = self.mask_size[0] * self.mask_size[1]
        return nn.Sequential(self._conv(self.channels, self.channels, 1),
                             nn.Conv2d(self.channels, places, 1, bias=False))

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w)."""
        x = self._transform_inputs(inputs)
        size, aligned = self._shrunk(x.shape[2:])
        if self.psa_type == 'bi-direction':
            context = torch.cat([self._gather(self.reduce, self.attention, 'collect', x, size, aligned),
                                 self._gather(self.reduce_p, self.attention_p, 'distribute', x, size, aligned)], dim=1)
        else:
            context = self._gather(self.reduce, self.attention, self.psa_type, x, size, aligned)
        context = resize(self.proj(context), x.shape[2:], mode='bilinear', align_corners=aligned, warning=False)
        return self.cls_seg(self.bottleneck(torch.cat([x, context], dim=1)))

    def _shrunk(self, size: Sequence[int]) -> tuple[tuple[int, int], bool]:
        """The size of the attention, and whether corners are aligned on the way to it: where both sides are odd."""
        factor = self.shrink_factor
        if factor == 1:
            return tuple(size), self.align_corners
        aligned = all(side % factor for side in size)
        return tuple((side - 1) // factor + 1 if aligned else max(1, side // factor) for side in size), aligned

    def _gather(self, reduce: nn.Module, attention: nn.Module, way: str, x: torch.Tensor, size: tuple[int, int],
                aligned: bool) -> torch.Tensor:
        """One branch: (B, in_channels, H, W) -> (B, channels, h, w)."""
        feature = resize(reduce(x), size, mode='bilinear', align_corners=aligned)
        weight = attention(feature)  # B M h w
        if not self.compact:
            weight = psa_mask(weight, self.mask_size)  # B (h w) (h w): from, to
        elif not same_size(self.mask_size, size):
            raise ValueError(f'compact attention of mask_size {tuple(self.mask_size)} needs a feature of that size '
                             f'after shrinking by {self.shrink_factor}, found {size}: change mask_size, or resize the '
                             'image')
        else:
            weight = weight.flatten(2)
        if way == 'distribute':
            weight = weight.transpose(1, 2)
        if self.psa_softmax:
            weight = weight.softmax(1)
        context = feature.flatten(2) @ weight  # B C (h w)
        return context.view_as(feature) / self.normalization_factor
