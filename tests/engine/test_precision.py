"""Mixed precision on a CPU: in bf16 without a loss scale, in fp16 with one."""
import pytest
import torch
from torch import nn

from mmseg.engine import AmpOptimWrapper, Runner
from mmseg.utils.checkpoint import read_checkpoint
from mmseg.utils.errors import InputError


def wrapper(**options):
    model = nn.Linear(3, 1, bias=False)
    nn.init.constant_(model.weight, 0.5)
    return model, AmpOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1), **options)


@pytest.mark.parametrize('dtype, expected, scaled', [
    (None, torch.bfloat16, False), ('bfloat16', torch.bfloat16, False), ('float16', torch.float16, True),
    (torch.float16, torch.float16, True)])
def test_type_and_scale(monkeypatch, dtype, expected, scaled):
    monkeypatch.setattr('mmseg.engine.optimizers.amp_optim_wrapper.get_device', lambda: 'cpu')
    model, wrapped = wrapper(dtype=dtype, loss_scale=16.0)
    assert wrapped.loss_scaler.is_enabled() is scaled
    with wrapped.optim_context(model):
        out = model(torch.ones(1, 3))
    assert out.dtype is expected and model.weight.dtype is torch.float32
    wrapped.update_params(out.float().sum())
    torch.testing.assert_close(model.weight.detach(), torch.full((1, 3), 0.4))


def test_a_gpu_gets_half_precision(monkeypatch):
    monkeypatch.setattr('mmseg.engine.optimizers.amp_optim_wrapper.get_device', lambda: 'cuda')
    assert wrapper()[1].cast_dtype is torch.float16


def test_an_overflow_is_skipped_and_halves_the_scale():
    model, wrapped = wrapper(dtype='float16', loss_scale=dict(init_scale=4.0, growth_interval=1000))
    wrapped.update_params(model(torch.full((1, 3), torch.inf)).sum())
    assert (model.weight == 0.5).all() and wrapped.loss_scaler.get_scale() == 2.0


@pytest.mark.parametrize('options, message', [
    (dict(dtype='float64'), "must be 'float16' or 'bfloat16', found 'float64'"),
    (dict(loss_scale='static'), "loss_scale must be 'dynamic', a number or a dictionary, found 'static'")])
def test_unknown_types_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        wrapper(**options)


@pytest.mark.parametrize('before, after', [('float16', 'bfloat16'), ('bfloat16', 'float16'), ('float16', 'float16')])
def test_a_state_goes_over_into_another_precision(before, after):
    _, first = wrapper(dtype=before, loss_scale=8.0)
    _, second = wrapper(dtype=after, loss_scale=2.0)
    state = first.state_dict()
    second.load_state_dict(state)
    assert ('loss_scaler' in state)
    if before == after == 'float16':
        assert second.loss_scaler.get_scale() == 8.0


def test_a_run_in_bf16_is_near_one_in_fp32(config_for):
    losses = {}
    for kind in ('OptimWrapper', 'AmpOptimWrapper'):
        config = config_for(kind, optim_wrapper=dict(type=kind, optimizer=dict(type='SGD', lr=0.1)),
                            model=dict(type='ToySegmentor', dropout=0.0))
        runner = Runner.from_cfg(config)
        runner.train()
        losses[kind] = runner.message_hub.get_scalar('train/loss').data[0]
        state = read_checkpoint(runner.message_hub.get_info('last_ckpt'))['state_dict']
        assert all(value.dtype is not torch.bfloat16 for value in state.values())
    assert abs(losses['OptimWrapper'] - losses['AmpOptimWrapper']).max() < 0.02
    assert (losses['OptimWrapper'] != losses['AmpOptimWrapper']).any()
