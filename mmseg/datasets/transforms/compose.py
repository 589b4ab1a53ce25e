"""A pipeline that computes no pixel which the next step throws away."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import mmcv.transforms
from mmengine.dataset import Compose as PlainCompose
from mmengine.registry import DefaultScope

from mmseg.registry import TRANSFORMS

from .geometric import RandomCrop, Resize, ResizeShortestEdge
from .resampling import PendingResize

# They choose a size and leave the resizing to the transform in their attribute `resize`.
_SIZE_CHOOSERS = (mmcv.transforms.RandomResize, mmcv.transforms.RandomChoiceResize, ResizeShortestEdge)


def _resizes(step: Callable) -> bool:
    """Whether all that a step does is to resize by our :class:`Resize`. Subclasses, which may do more, do not count."""
    while type(step) in _SIZE_CHOOSERS:
        step = step.resize
    return type(step) is Resize


class CroppedResize:
    """A resize and the crop that follows it: the same draws, and only the pixels of the window.

    The resize works on arrays that merely remember it (:class:`PendingResize`); the crop takes pixels from them, for
    the image, and for each window whose labels it tests. No other step ever sees them.
    """

    def __init__(self, resize: Callable, crop: RandomCrop):
        self.resize = resize
        self.crop = crop

    def __call__(self, results: dict) -> dict:
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = PendingResize(results[key])
        return self.crop(self.resize(results))


def fuse(transforms: Sequence[Callable]) -> list[Callable]:
    """Return the steps that do the work of `transforms`, with each resize before a :class:`RandomCrop` joined to it."""
    steps: list[Callable] = []
    for transform in transforms:
        if type(transform) is RandomCrop and steps and _resizes(steps[-1]):
            steps[-1] = CroppedResize(steps[-1], transform)
        else:
            steps.append(transform)
    return steps


class Compose(PlainCompose):
    """mmengine's `Compose`, with the same results in less time.

    `transforms` lists the transforms as they were given, and may be changed at any time.

    Args:
        transforms: transforms, or their configs; looked up in the default scope, or else in ours.
    """

    def __init__(self, transforms: Sequence[dict | Callable] | None):
        scope = DefaultScope.get_current_instance()
        with DefaultScope.overwrite_default_scope(scope.scope_name if scope else 'mmseg'):
            super().__init__([TRANSFORMS.build(step) if isinstance(step, dict) else step for step in transforms or ()])
        self._fuse()

    def _fuse(self) -> None:
        self._fused_from = list(self.transforms)
        self._steps = fuse(self.transforms)

    def __call__(self, data: dict) -> dict | None:
        """Apply the transforms one after the other; None where one of them gives None."""
        if self._fused_from != self.transforms:
            self._fuse()
        for step in self._steps:
            data = step(data)
            if data is None:
                return None
        return data
