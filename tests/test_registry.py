import subprocess
import sys

import pytest

from mmseg.registry import DATASETS, MODELS, TRANSFORMS, UnknownTypeError


def test_a_look_up_imports_one_module():
    code = ('import sys; from mmseg.registry import MODELS; MODELS.get("FCNHead"); '
            'print([m for m in sys.modules if m.startswith("mmseg.models.backbones.")])')
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == '[]'


@pytest.mark.parametrize('registry, name, nearest', [
    (MODELS, 'PSPHaed', 'PSPHead'), (DATASETS, 'CityscapesDatset', 'CityscapesDataset'),
    (TRANSFORMS, 'LoadImageFromFiles', 'LoadImageFromFile')])
def test_unknown_types_name_the_nearest(registry, name, nearest):
    assert name not in registry
    with pytest.raises(UnknownTypeError, match=f'{name}.*did you mean.*{nearest}'):
        registry.build(dict(type=name))


@pytest.mark.parametrize('scope', ['mmseg', 'mmdet', 'mmpretrain', 'mmcls'])
def test_parts_of_absorbed_packages_are_ours(scope):
    assert MODELS.get(f'{scope}.FCNHead') is MODELS.get('FCNHead')


def test_mmengine_reaches_ours_by_scope():
    from mmengine.registry import MODELS as ROOT
    assert ROOT.get('mmseg.FCNHead') is MODELS.get('FCNHead')
