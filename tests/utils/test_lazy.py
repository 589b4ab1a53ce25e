import importlib

import pytest

PACKAGES = [f'mmseg.{name}' for name in (
    'apis', 'datasets', 'datasets.transforms', 'engine', 'evaluation', 'models', 'models.assigners', 'models.backbones',
    'models.decode_heads', 'models.losses', 'models.necks', 'models.segmentors', 'models.text_encoder', 'models.utils',
    'ops', 'structures', 'utils', 'visualization')]


@pytest.mark.parametrize('package', PACKAGES)
def test_every_published_name_is_there_and_is_no_module(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert not isinstance(getattr(module, name), type(importlib)), name
    with pytest.raises(AttributeError, match='no attribute'):
        _ = module.no_such_name
