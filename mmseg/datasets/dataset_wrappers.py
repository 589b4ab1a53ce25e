"""Data sets made of other data sets."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.dataset import BaseDataset, ConcatDataset, force_full_init

from mmseg.registry import DATASETS, TRANSFORMS


@DATASETS.register_module()
class MultiImageMixDataset:
    """Samples mixed out of several, such as :class:`RandomMosaic` makes them.

    A transform that has `get_indices(dataset)` finds the samples at those indices in `results['mix_results']`.

    Args:
        dataset: data set to draw from, whose pipeline at least loads the images; or its config.
        pipeline: configs of the transforms that mix.
        skip_type_keys: names of transforms that are passed over.
        lazy_init: read no file until the first use.
    """

    def __init__(self, dataset: ConcatDataset | BaseDataset | dict, pipeline: Sequence[dict],
                 skip_type_keys: Sequence[str] | None = None, lazy_init: bool = False) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        if not hasattr(dataset, 'metainfo'):
            raise TypeError(f'dataset must be a data set or its config, but got {type(dataset).__name__}')
        unbuilt = [step for step in pipeline if not isinstance(step, dict)]
        if unbuilt:
            raise TypeError(f'pipeline takes configs of transforms, dict(type=…, …), but got {unbuilt[0]!r}')
        self.dataset = dataset
        self.pipeline_types = [step['type'] for step in pipeline]
        self.pipeline = [TRANSFORMS.build(step) for step in pipeline]
        self._fully_initialized = False
        self.update_skip_type_keys(skip_type_keys)
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """Classes, palette and so on of the data set inside."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read the list of samples, once."""
        if not self._fully_initialized:
            self.dataset.full_init()
            self._fully_initialized = True

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Return the description of a sample, before any transform."""
        return self.dataset.get_data_info(idx)

    @force_full_init
    def __len__(self) -> int:
        return len(self.dataset)

    @force_full_init
    def __getitem__(self, idx: int) -> dict:
        results = self.dataset[idx]
        for name, transform in zip(self.pipeline_types, self.pipeline):
            if name in self._skip_type_keys:
                continue
            if hasattr(transform, 'get_indices'):
                indices = transform.get_indices(self.dataset)
                indices = indices if isinstance(indices, Sequence) else [indices]
                results['mix_results'] = [self.dataset[index] for index in indices]
            results = transform(results)
            results.pop('mix_results', None)
        return results

    def update_skip_type_keys(self, skip_type_keys: Sequence[str] | None) -> None:
        """Pass over other transforms from now on; for hooks that end the mixing towards the end of a training."""
        if not all(isinstance(key, str) for key in skip_type_keys or ()):
            raise TypeError(f'skip_type_keys holds names of transforms (str), but got {skip_type_keys!r}')
        self._skip_type_keys = skip_type_keys or ()
