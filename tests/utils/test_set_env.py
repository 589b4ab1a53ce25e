"""All names at once, and the scope in which they are looked up."""
import sys

import pytest
from mmengine.registry import DefaultScope

from mmseg.registry import HOOKS, OPTIM_WRAPPER_CONSTRUCTORS
from mmseg.utils import register_all_modules
from mmseg.utils.collect_env import hide_broken_torchvision


@pytest.fixture(autouse=True)
def scope_of_before(monkeypatch):
    monkeypatch.setattr(DefaultScope, '_instance_dict', type(DefaultScope._instance_dict)())


def test_every_name_is_registered():
    register_all_modules(init_default_scope=False)
    assert {'CheckpointHook', 'SegVisualizationHook'} <= HOOKS.module_dict.keys()
    assert 'LayerDecayOptimizerConstructor' in OPTIM_WRAPPER_CONSTRUCTORS.module_dict
    assert DefaultScope.get_current_instance() is None


def test_the_scope_becomes_ours():
    register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmseg'
    number = len(DefaultScope._instance_dict)
    register_all_modules()
    assert len(DefaultScope._instance_dict) == number


def test_another_scope_is_replaced_with_a_warning():
    DefaultScope.get_instance('before', scope_name='somewhere')
    with pytest.warns(UserWarning, match="the default scope was 'somewhere' and is now 'mmseg'"):
        register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmseg'


def test_a_broken_torchvision_counts_as_absent(tmp_path, monkeypatch):
    (tmp_path / 'torchvision.py').write_text('raise RuntimeError("operator torchvision::nms does not exist")')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'torchvision', raising=False)
    hide_broken_torchvision()
    with pytest.raises(ImportError):
        import torchvision  # noqa: F401
