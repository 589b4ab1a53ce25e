"""Whole networks compute what their published counterparts do with the same weights."""
import numpy as np
import pytest
import torch
from mmengine.model import revert_sync_batchnorm

from mmseg.registry import MODELS
from tests.golden import facts, fill, image, model_config, models_of, samples


def network(name):
    return fill(revert_sync_batchnorm(MODELS.build(model_config(name)))).eval()


@pytest.mark.parametrize('name', models_of('golden_logits.json'))
@torch.no_grad()
def test_logits(name):
    fact = facts('golden_logits.json')[name]
    batch, channels, height, width = fact['input']
    meta = dict(ori_shape=(height, width), img_shape=(height, width), pad_shape=(height, width))
    logits = network(name).encode_decode(image(height, width, batch, channels), [meta] * batch)
    assert list(logits.shape) == fact['shape']
    gap = np.abs(samples(logits, len(fact['samples'])) - fact['samples']).max()
    assert gap < 2e-4 * fact['std']
