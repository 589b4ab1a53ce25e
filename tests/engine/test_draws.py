"""Samples depend on seed, epoch and position, on nothing else."""
import pickle
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import DefaultScope
from torch.utils.data import Sampler

from mmseg.engine import Draw, DrawSampler, Runner, SeededDataset
from mmseg.engine.draws import endless_batches
from mmseg.utils.randomness import seed_generators
from tests.engine import toy

SIZE = 6


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def loader(sampler='InfiniteSampler', seed=1, **options):
    config = dict(batch_size=2, num_workers=0, dataset=dict(type='ToySquares', size=SIZE))
    return Runner.build_dataloader({**config, 'sampler': dict(type=sampler, shuffle=True), **options}, seed=seed)


def images(batches, number):
    return [torch.stack(batch['inputs']) for _, batch in zip(range(number), batches)]


def equal(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


def test_a_draw_is_an_index_that_survives_the_way_to_a_worker():
    draw = pickle.loads(pickle.dumps(Draw(7, 99)))
    assert (draw, draw.seed, [10, 20][Draw(1, 0)]) == (7, 99, 20)


@pytest.mark.parametrize('options', [dict(num_workers=1), dict(num_workers=3, persistent_workers=True),
                                     dict(num_workers=2, prefetch_factor=4)])
@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_workers_leave_no_trace(sampler, options):
    alone = images(endless_batches(loader(sampler), 0), 7)
    assert equal(alone, images(endless_batches(loader(sampler, **options), 0), 7))
    assert not equal(alone, images(endless_batches(loader(sampler, seed=2), 0), 7))


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
@pytest.mark.parametrize('done', [1, 3, 5])
def test_skipped_batches_are_never_made_and_the_rest_is_the_same(sampler, done, monkeypatch):
    straight = images(endless_batches(loader(sampler), 0), 8)
    made = []
    original = toy.ToySquares.__getitem__
    monkeypatch.setattr(toy.ToySquares, '__getitem__', lambda self, index: made.append(index) or original(self, index))
    rest = images(endless_batches(loader(sampler), done), 8 - done)
    assert equal(straight[done:], rest) and len(made) == 2 * (8 - done)


def test_epochs_draw_anew():
    first, second = images(endless_batches(loader('DefaultSampler'), 0), 6)[::3]
    assert not torch.equal(first, second)


class Backwards(Sampler):
    """A user's sampler of which nothing is known."""

    def __init__(self, dataset, seed=None):
        self.size = len(dataset)

    def __iter__(self):
        return iter(range(self.size - 1, -1, -1))

    def __len__(self):
        return self.size


def test_an_unknown_sampler_is_replayed():
    def build():
        return Runner.build_dataloader(dict(batch_size=2, num_workers=0, dataset=dict(type='ToySquares', size=SIZE),
                                            sampler=dict(type=Backwards)), seed=1)

    assert equal(images(endless_batches(build(), 0), 5)[2:], images(endless_batches(build(), 2), 3))


def test_too_few_samples_for_a_batch_are_an_error_not_an_endless_loop():
    with pytest.raises(ValueError, match='6 samples, too few for one batch of 7'):
        next(endless_batches(loader('DefaultSampler', batch_size=7, drop_last=True), 0))


@pytest.mark.parametrize('kind', [InfiniteSampler, DefaultSampler])
def test_ranks_share_the_order_of_one_process(kind, monkeypatch):
    def draws(rank, world_size):
        for module in ('mmengine.dataset.sampler', 'mmseg.engine.draws'):
            monkeypatch.setattr(f'{module}.get_dist_info', lambda: (rank, world_size))
        sampler = DrawSampler(kind(range(SIZE), seed=4), 4)
        sampler.start_at(1)
        return [(int(draw), draw.seed) for draw, _ in zip(sampler, range(2))]

    both = [draw for pair in zip(draws(0, 2), draws(1, 2)) for draw in pair]
    monkeypatch.setattr('mmseg.engine.draws.get_dist_info', lambda: (0, 1))
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (0, 1))
    alone = [(int(draw), draw.seed) for draw, _ in zip(DrawSampler(kind(range(SIZE), seed=4), 4), range(6))]
    assert both == alone[2:]


def test_the_generators_of_the_model_notice_nothing():
    def three():
        return random.random(), np.random.rand(), float(torch.rand(1))  # noqa: NPY002

    batches = iter(loader())
    seed_generators(5)
    expected = three()
    seed_generators(5)
    next(batches)
    assert three() == expected


def test_the_data_set_inside_answers_for_everything_else():
    dataset = SeededDataset(toy.ToySquares(3))
    dataset.noisy = False
    copied = pickle.loads(pickle.dumps(dataset))
    assert (len(dataset), dataset.metainfo['classes'], dataset.dataset.noisy) == (3, ('left', 'right'), False)
    assert len(copied) == 3 and not hasattr(dataset, 'no_such_thing')
    assert torch.equal(dataset[1]['inputs'], copied[1]['inputs'])
