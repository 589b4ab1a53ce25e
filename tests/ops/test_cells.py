"""Labels cell by cell equal those of the enlarged logits."""
import pytest
import torch

from mmseg.ops import cells, resize
from mmseg.ops.cells import label_by_cells


def smooth(classes, height, width, seed=0):
    """Logits that change little from sample to sample, as those of a network do."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, classes, 3, 4, generator=generator)
    fine = 0.05 * torch.randn(1, classes, height, width, generator=generator)
    return (resize(coarse, (height, width), mode='bicubic', align_corners=False) + fine)[0]


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(('low', 'size'), [((9, 13), (36, 52)), ((8, 8), (57, 64)), ((5, 1), (20, 7)), ((1, 1), (9, 4)),
                                           ((16, 16), (12, 12))])
def test_equals_the_enlarged(low, size, align_corners, monkeypatch):
    monkeypatch.setattr(cells, '_TOO_MANY', 1.)
    for seed in range(5):
        logits = smooth(40, *low, seed=seed)
        full = resize(logits[None], size, mode='bilinear', align_corners=align_corners, warning=False)[0]
        found = label_by_cells(logits, size, align_corners)
        first, second = full.topk(2, 0).values
        assert torch.equal(found[first - second > 1e-5], full.argmax(0)[first - second > 1e-5])
        assert (first - second > 1e-5).float().mean() > 0.99


def test_a_class_may_win_between_samples_without_winning_at_any(monkeypatch):
    monkeypatch.setattr(cells, '_TOO_MANY', 1.)
    logits = torch.tensor([[[9., 0.]], [[0., 9.]], [[6., 6.]], [[4., 4.]]])
    assert label_by_cells(logits, (1, 8), True)[0].tolist() == [0, 0, 0, 2, 2, 1, 1, 1]


def test_where_every_class_may_win_nothing_is_saved():
    noise = torch.randn(30, 16, 16, generator=torch.Generator().manual_seed(0))
    assert label_by_cells(noise, (128, 128), False) is None
