"""Patches of an image as tokens."""
from __future__ import annotations

import warnings
from collections.abc import Sequence

from mmseg.utils.typing_utils import ConfigType

with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # mmcv-lite warns that it lacks compiled operators, which nothing here uses
    from mmcv.cnn.bricks.transformer import AdaptivePadding, PatchMerging
    from mmcv.cnn.bricks.transformer import PatchEmbed as _PatchEmbed

__all__ = ['AdaptivePadding', 'PatchEmbed', 'PatchMerging']


class PatchEmbed(_PatchEmbed):
    """A convolution that makes a token of each patch: (B, in_channels, H, W) -> (B, h w, embed_dims) and (h, w).

    Args:
        kernel_size: side of a patch.
        stride: distance of patches; `kernel_size` where None, so that they do not overlap.
        padding: `'corner'` pads right and bottom until patches cover the image, `'same'` all around; or a number.
        norm_cfg: of the tokens.
        input_size: of the image; then `init_out_size` tells the (h, w) that follows.
    """

    def __init__(self, in_channels: int = 3, embed_dims: int = 768, conv_type: str = 'Conv2d',
                 kernel_size: int | Sequence[int] = 16, stride: int | Sequence[int] | None = None,
                 padding: str | int | Sequence[int] = 'corner', dilation: int = 1, bias: bool = True,
                 norm_cfg: ConfigType | None = None, input_size: int | Sequence[int] | None = None,
                 init_cfg: ConfigType | None = None):
        super().__init__(in_channels, embed_dims, conv_type, kernel_size, stride, padding, dilation, bias, norm_cfg,
                         input_size, init_cfg)
