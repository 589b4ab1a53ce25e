"""The learning rate goes down to a share of where it began, or as PyTorch's own schedulers have it."""
import math

import pytest
import torch

from mmseg.engine import PolyLRRatio, Runner
from tests.engine.test_resume import interrupt


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


@pytest.mark.parametrize('name, options', [
    ('CosineAnnealingWarmRestarts', dict(T_0=4)), ('CyclicLR', dict(base_lr=0.01, max_lr=0.2, step_size_up=3)),
    ('LambdaLR', dict(lr_lambda=lambda step: 0.8**step)), ('MultiplicativeLR', dict(lr_lambda=lambda step: 0.9)),
    ('PolynomialLR', dict(total_iters=10, power=2.0))])
def test_schedulers_of_pytorch(config_for, name, options):
    config = config_for(param_scheduler=[dict(type=name, by_epoch=False, **options)])
    runner = Runner.from_cfg(config)
    runner.train()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    plain, expected = getattr(torch.optim.lr_scheduler, name)(optimizer, **options), []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        plain.step()
    assert runner.message_hub.get_scalar('train/lr').data[0].tolist() == pytest.approx(expected)


def test_they_begin_and_end_where_the_config_says(config_for):
    config = config_for(param_scheduler=[
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5),
        dict(type='CosineAnnealingWarmRestarts', T_0=10, by_epoch=False, begin=5, end=12)])
    runner = Runner.from_cfg(config)
    runner.train()
    rates = runner.message_hub.get_scalar('train/lr').data[0].tolist()
    assert rates[5] == pytest.approx(0.1) and rates[6] == pytest.approx(0.05 * (1 + math.cos(math.pi / 10)))
    assert rates[11] < rates[6] and rates[11:] == [rates[11]] * 9


def test_they_resume(config_for):
    def config(name, **changes):
        return config_for(name, param_scheduler=[
            dict(type='CosineAnnealingWarmRestarts', T_0=6, by_epoch=False, begin=4)], **changes)

    straight = Runner.from_cfg(config('straight'))
    straight.train()
    interrupt(config('stopped'), at=13)
    resumed = Runner.from_cfg(dict(config('stopped'), resume=True))
    resumed.train()
    rates = [runner.message_hub.get_scalar('train/lr').data[0].tolist() for runner in (straight, resumed)]
    assert rates[0] == pytest.approx(rates[1])
