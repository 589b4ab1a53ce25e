"""The learning rate goes down to a share of where it began."""
import pytest
import torch

from mmseg.engine import PolyLRRatio


def rates(steps: int, **options) -> list[list[float]]:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([dict(params=[weights[0]], lr=1.0), dict(params=[weights[1]], lr=0.1)], lr=1.0)
    scheduler = PolyLRRatio(optimizer=optimizer, power=0.9, begin=0, end=steps, by_epoch=False, **options)
    seen = []
    for _ in range(steps):
        seen.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return seen


def test_each_group_ends_at_its_own_share():
    for step, found in enumerate(rates(11, eta_min_ratio=0.05)):
        left = (1 - step / 10)**0.9
        assert found == pytest.approx([base * (0.05 + 0.95 * left) for base in (1.0, 0.1)])


def test_without_a_ratio_it_is_the_usual_decay():
    assert rates(11, eta_min=0.01)[-1] == pytest.approx([0.01, 0.01])
    assert rates(11, eta_min=0.01)[5] == pytest.approx([0.01 + (base - 0.01) * 0.5**0.9 for base in (1.0, 0.1)])
