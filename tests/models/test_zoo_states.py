"""Every model of the zoo has the keys, shapes and types that published checkpoints need."""
import pytest
import torch

from mmseg.registry import MODELS
from tests.golden import facts, model_config, models_of, state_digest


@pytest.mark.parametrize('name', models_of('zoo_states.json'))
def test_state_dict_fits_published_checkpoints(name):
    with torch.device('meta'):
        model = MODELS.build(model_config(name))
    assert state_digest(model) == facts('zoo_states.json')[name]
