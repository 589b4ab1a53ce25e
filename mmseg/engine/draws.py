"""Samples that come out alike whichever worker makes them, in whichever run, and that can be skipped unseen.

A sampler's n-th index carries a seed made of the run's seed, the epoch and n; the outermost data set sets it before it
runs the pipeline. So the number of workers, prefetching and what came before leave no trace in a sample, and a resumed
run begins at draw n without making the draws before it.
"""
from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS, DATASETS
from mmengine.runner import Runner
from torch.utils.data import DataLoader, IterableDataset, Sampler, get_worker_info

from mmseg.utils.randomness import mix_seed, seed_generators, seeded


class Draw(int):
    """An index into a data set, with the seed of the sample that is to be made of it."""

    def __new__(cls, index: int, seed: int):
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    def __getnewargs__(self) -> tuple[int, int]:  # workers receive it pickled
        return int(self), self.seed


class DrawSampler(Sampler):
    """The indices of another sampler as seeded draws, from any position on.

    Rank r of n takes the global positions r, r + n, …, as mmengine's samplers do; so the batch of all ranks together,
    and each sample in it, depends on its size alone and not on how many ranks share it.

    Args:
        sampler: the sampler that chooses the indices.
        seed: the run's seed; None takes the sampler's own.
    """

    def __init__(self, sampler: Sampler, seed: int | None = None):
        self.sampler = sampler
        self.seed = getattr(sampler, 'seed', None) if seed is None else seed
        if self.seed is None:
            self.seed = sync_random_seed()
        self.epoch = 0
        self._start = 0

    def start_at(self, position: int) -> None:
        """Let the next iteration, and only that one, begin with this rank's draw number `position`."""
        self._start = position

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)

    def reseed(self, seed: int) -> None:
        """Take the seed of the run that is resumed; to be called before the first draw."""
        self.seed = seed
        if hasattr(self.sampler, 'seed'):
            self.sampler.seed = seed

    def __iter__(self) -> Iterator[Draw]:
        rank, world_size = get_dist_info()
        start, self._start = self._start, 0
        for position, index in enumerate(islice(self.sampler, start, None), start):
            yield Draw(index, mix_seed(self.seed, self.epoch, position * world_size + rank))

    def __len__(self) -> int:
        return len(self.sampler)


class SeededDataset:
    """A data set that makes each sample from the seed that its index carries; in all else the data set inside."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __getattr__(self, name: str):
        if name == 'dataset' or name.startswith('__'):  # a copy under construction has none yet
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name == 'dataset':
            super().__setattr__(name, value)
        else:
            setattr(self.dataset, name, value)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int):
        if not isinstance(index, Draw):
            return self.dataset[index]
        if get_worker_info() is not None:
            seed_generators(index.seed)
            return self.dataset[int(index)]
        with seeded(index.seed):  # in the process of the model, whose own randomness must not notice
            return self.dataset[int(index)]


def build_seeded_dataset(dataset) -> SeededDataset | IterableDataset:
    """Build a data set from its config, if it is one, and let each sample be seeded."""
    built = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
    return built if isinstance(built, IterableDataset) else SeededDataset(built)


def build_draw_sampler(sampler, dataset, seed: int | None) -> DrawSampler:
    """Build a sampler from its config, if it is one, and let it yield draws."""
    if isinstance(sampler, dict):
        sampler = DATA_SAMPLERS.build(sampler, default_args=dict(dataset=dataset, seed=seed))
    return DrawSampler(sampler, seed)


def build_seeded_dataloader(config: dict, seed: int | None) -> DataLoader:
    """Build mmengine's data loader of a config with seeded samples; `seed` must be the same on all ranks."""
    config = dict(config)
    config['dataset'] = dict(type=build_seeded_dataset, dataset=config['dataset'])
    config['sampler'] = dict(type=build_draw_sampler, sampler=config['sampler'])
    if not config.get('num_workers'):
        config['persistent_workers'] = False  # there are none to keep
    return Runner.build_dataloader(config, seed=seed)


def draws_of(loader: DataLoader) -> DrawSampler | None:
    """Return the sampler of draws that a loader uses, alone or inside a batch sampler."""
    for sampler in (loader.sampler, getattr(loader.batch_sampler, 'sampler', None)):
        if isinstance(sampler, DrawSampler):
            return sampler
    return None


def can_skip(loader: DataLoader) -> bool:
    """Whether the loader's order depends on seed, epoch and position alone, so that batches can be left out unseen."""
    draws = draws_of(loader)
    known = draws is not None and isinstance(draws.sampler, InfiniteSampler | DefaultSampler)
    return known and loader.batch_size is not None


def endless_batches(loader: DataLoader, done: int) -> Iterator:
    """Yield the batches after the first `done`, pass after pass.

    Where the order is not known to depend on seed, epoch and position alone (a sampler or batch sampler of the user),
    the first ones are made and thrown away.

    Raises:
        ValueError: the loader holds no batch at all.
    """
    draws = draws_of(loader)
    epoch, position, replay = 0, 0, done
    if can_skip(loader) and len(loader):
        passes, rest = (0, done) if isinstance(draws.sampler, InfiniteSampler) else divmod(done, len(loader))
        epoch, position, replay = passes, rest, 0
    while True:
        if draws is not None:
            draws.set_epoch(epoch)
            draws.start_at(position * (loader.batch_size or 0))
        empty = True
        for batch in loader:
            empty = False
            if replay > 0:
                replay -= 1
                continue
            yield batch
        if empty:
            raise ValueError(f'the training data set has {len(loader.dataset)} samples, too few for one batch of '
                             f'{loader.batch_size}: give a smaller batch_size or drop_last=False')
        epoch, position = epoch + 1, 0
