"""Seeds from parts, and generators that are put back."""
import random

import numpy as np
import torch

from mmseg.utils.randomness import mix_seed, seed_generators, seeded


def three() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), float(torch.rand(1))  # noqa: NPY002


def test_a_seed_depends_on_every_part_and_on_their_order():
    assert mix_seed(0, 'step', 1, 2) == 184749658296298036  # alike on every machine
    assert len({mix_seed(*parts) for parts in [(0, 1), (1, 0), (0, 1, 0), ('0', 1), (0,)]}) == 5
    assert all(0 <= mix_seed(number) < 2**63 for number in range(100))


def test_all_generators_are_seeded():
    seed_generators(2**40 + 5)
    first = three()
    seed_generators(2**40 + 5)
    assert three() == first
    seed_generators(2**40 + 6)
    assert not set(three()) & set(first)


def test_a_block_has_its_own_numbers_and_leaves_no_trace():
    seed_generators(1)
    expected = three()
    seed_generators(1)
    with seeded(2):
        inside = three()
    assert three() == expected
    seed_generators(2)
    assert three() == inside
