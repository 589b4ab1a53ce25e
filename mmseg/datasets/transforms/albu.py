"""Transforms of the package Albumentations (https://albumentations.ai)."""
from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping

import cv2
import numpy as np

from mmseg.registry import TRANSFORMS

from .base import Transform, check

_KEYS = {'img': 'image', 'gt_seg_map': 'mask'}


@TRANSFORMS.register_module()
class Albu(Transform):
    """Apply transforms of Albumentations, given as `dict(type='RandomBrightnessContrast', p=0.5)`.

    They see the image as RGB. Where they have random numbers of their own, these follow NumPy's generator as all our
    transforms do: it differs between the worker processes and repeats with their seed.

    Args:
        transforms: their configs; `transforms` inside them are built too.
        keymap: what they call the entries of the results; `img` is `image`, `gt_seg_map` is `mask` by default.
        update_pad_shape: set `pad_shape` to the new shape.
    """

    shown = ('transforms',)

    def __init__(self, transforms: list[dict], keymap: dict | None = None, update_pad_shape: bool = False):
        try:
            import albumentations
        except ImportError as error:
            raise ImportError('Albu needs the package albumentations, which is not installed: '
                              'pip install albumentations') from error
        self.transforms = copy.deepcopy(transforms)
        self.update_pad_shape = update_pad_shape
        self.keymap_to_albu = dict(keymap or _KEYS)
        self.keymap_back = {theirs: ours for ours, theirs in self.keymap_to_albu.items()}
        self.aug = albumentations.Compose([self.albu_builder(transform) for transform in self.transforms])

    def albu_builder(self, cfg: dict) -> object:
        """Build a transform of Albumentations, with those inside it."""
        import albumentations
        check(isinstance(cfg, Mapping) and 'type' in cfg, self, f'the transform {cfg!r}', 'a dict with the key `type`')
        arguments = dict(cfg)
        kind = arguments.pop('type')
        if isinstance(kind, str):
            check(hasattr(albumentations, kind), self, f'type={kind!r}',
                  f'a transform of albumentations {albumentations.__version__}')
            kind = getattr(albumentations, kind)
        check(inspect.isclass(kind), self, f'type={kind!r}', 'a name or a class')
        if 'transforms' in arguments:
            arguments['transforms'] = [self.albu_builder(inner) for inner in arguments['transforms']]
        return kind(**arguments)

    @staticmethod
    def mapper(d: dict, keymap: dict) -> dict:
        """Rename the keys of a dict; those not in `keymap` stay."""
        return {keymap.get(key, key): value for key, value in d.items()}

    def transform(self, results: dict) -> dict:
        named = self.mapper({key: results[key] for key in self.keymap_to_albu if key in results}, self.keymap_to_albu)
        named['image'] = cv2.cvtColor(named['image'], cv2.COLOR_BGR2RGB)
        if hasattr(self.aug, 'set_random_seed'):
            self.aug.set_random_seed(int(np.random.randint(2**32, dtype=np.uint32)))
        results.update(self.mapper(self.aug(**named), self.keymap_back))
        results['img'] = cv2.cvtColor(results['img'], cv2.COLOR_RGB2BGR)
        results['img_shape'] = results['img'].shape[:2]
        if self.update_pad_shape:
            results['pad_shape'] = results['img'].shape
        return results
