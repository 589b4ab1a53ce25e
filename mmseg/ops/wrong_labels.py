"""What to say of labels that no class has."""
from __future__ import annotations

from torch import Tensor

LISTED = 8


def wrong_labels(values: Tensor, num_classes: int, ignore_index: int | None) -> ValueError:
    """The error to raise for label values, one for each pixel, that are neither a class nor ignored."""
    values, counts = values.unique(return_counts=True)
    shown = ', '.join(f'{v} ({n} pixels)' for v, n in zip(values[:LISTED].tolist(), counts[:LISTED].tolist()))
    more = f' and {len(values) - LISTED} more values' if len(values) > LISTED else ''
    return ValueError(f'labels hold {shown}{more}, but num_classes={num_classes} allows 0 to {num_classes - 1} and '
                      f'ignore_index={ignore_index}: set num_classes to the number of classes of the data set, '
                      'reduce_zero_label=True if its 0 means unlabelled, or map these values to ignore_index')
