"""Batching of images and naming of losses."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

PADDED_LABELS = ('gt_sem_seg', 'gt_edge_map', 'gt_depth_map')


def add_prefix(inputs: dict, prefix: str) -> dict:
    """Name a head's losses after it: `{'loss_ce': x}` -> `{'decode.loss_ce': x}`."""
    return {f'{prefix}.{name}': value for name, value in inputs.items()}


def stack_batch(inputs: list[torch.Tensor],
                data_samples: Sequence | None = None,
                size: tuple[int, int] | None = None,
                size_divisor: int | None = None,
                pad_val: float = 0,
                seg_pad_val: float = 255) -> tuple[torch.Tensor, list]:
    """Pad images (C, h, w) at their right and bottom to one size and stack them: (N, C, H, W).

    Args:
        data_samples: padded likewise where they carry labels; each learns its `padding_size` (left, right, top,
            bottom) and `pad_shape` (and without labels `img_padding_size`).
        size: height and width to reach; a larger image keeps its own.
        size_divisor: pad to a multiple of this instead. Give exactly one of the two.
        pad_val: fills images, in the units of `inputs`.
        seg_pad_val: fills labels.

    Returns:
        The batch, and for each image its padding (with `data_samples`: the samples).
    """
    shapes = {tuple(image.shape) for image in inputs}
    if any(len(shape) != 3 for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f'images of a batch must be (C, H, W) with one number of bands, found {sorted(shapes)}')
    if (size is None) == (size_divisor is None):
        raise ValueError(f'give either size or size_divisor, found size={size} and size_divisor={size_divisor}')

    tallest, widest = (max(shape[axis] for shape in shapes) for axis in (1, 2))
    if size is None:
        target = tuple(-(-side // size_divisor) * size_divisor for side in (tallest, widest))
    else:
        target = (size[0], size[1])
    padded, notes = [], []
    for i, image in enumerate(inputs):
        height, width = image.shape[-2:]
        padding = (0, max(target[1] - width, 0), 0, max(target[0] - height, 0))
        padded.append(F.pad(image, padding, value=pad_val))
        if data_samples is None:
            notes.append(dict(img_padding_size=padding, pad_shape=tuple(padded[-1].shape[-2:])))
        else:
            _pad_labels(data_samples[i], padding, seg_pad_val)
            data_samples[i].set_metainfo(dict(
                img_shape=tuple(image.shape[-2:]), pad_shape=tuple(padded[-1].shape[-2:]), padding_size=padding))
            notes.append(data_samples[i])
    sizes = sorted({tuple(image.shape[-2:]) for image in padded})
    if len(sizes) > 1:
        raise ValueError(f'images of a batch have sizes {sizes} after padding to {target}: crop them to one size in '
                         'the pipeline, or raise `size` of the data_preprocessor to the largest')
    return torch.stack(padded), notes


def _pad_labels(sample, padding: tuple[int, int, int, int], value: float) -> None:
    for name in PADDED_LABELS:
        if name in sample:
            field = sample.get(name)
            delattr(sample, name)
            setattr(sample, name, type(field)(data=F.pad(field.data, padding, value=value)))
