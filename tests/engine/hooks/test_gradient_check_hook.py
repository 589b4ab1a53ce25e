"""Weights that do not learn are named: as an error where other processes would wait for them."""
import torch

from mmseg.engine import Runner
from mmseg.registry import MODELS
from tests.engine.processes import in_processes
from tests.engine.toy import ToySegmentor


@MODELS.register_module(force=True)
class Forgetful(ToySegmentor):
    """Has a layer that nothing uses, and one that is frozen."""

    def __init__(self, **options):
        super().__init__(**options)
        self.forgotten = torch.nn.Linear(2, 2)
        self.frozen = torch.nn.Linear(2, 2).requires_grad_(False)


TWO = dict(launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='gloo', timeout=300)))


def train(config):
    runner = Runner.from_cfg(config)
    try:
        runner.train()
    except ValueError as error:
        return str(error)
    return runner.iter


def test_one_process_is_warned(config_for, tmp_path):
    assert train(config_for(model=dict(type='Forgetful'))) == 20
    text = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert '2 weights that shall learn got no gradient in the first step: forgotten.bias, forgotten.weight' in text


def test_several_processes_stop(config_for):
    texts = in_processes(2, train, config_for(model=dict(type='Forgetful'), **TWO))
    for text in texts:
        assert 'forgotten.bias, forgotten.weight. Several processes would wait for them' in text
        assert 'find_unused_parameters=True' in text and 'frozen' not in text.partition('.')[0]


def test_unless_they_are_told(config_for):
    config = config_for(model=dict(type='Forgetful'), find_unused_parameters=True, **TWO)
    assert in_processes(2, train, config) == [20, 20]


def test_accumulated_gradients_count(config_for, tmp_path):
    wrapper = dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=4)
    assert train(config_for(optim_wrapper=wrapper)) == 20
    assert 'got no gradient' not in next((tmp_path / 'run').glob('*/*.log')).read_text()
