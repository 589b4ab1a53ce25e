"""Classes and palettes by name."""
import inspect

import pytest

from mmseg.datasets import CityscapesDataset
from mmseg.utils import class_names, dataset_aliases, get_classes, get_palette
from mmseg.utils.errors import InputError

COUNTS = dict(cityscapes=19, ade=150, voc=21, pcontext=59, cocostuff=171, loveda=7, potsdam=6, vaihingen=6, isaid=16,
              stare=2, lip=20, mapillary_v1=66, mapillary_v2=124, bdd100k=19, synapse=9, camvid=11)


@pytest.mark.parametrize('name, count', COUNTS.items())
def test_every_name_gives_classes_and_as_many_colours(name, count):
    classes, palette = (getattr(class_names, f'{name}_{kind}') for kind in ('classes', 'palette'))
    assert not inspect.signature(classes).parameters and classes.__name__ == f'{name}_classes'
    assert classes() == get_classes(name) and len(classes()) == count
    assert palette() == get_palette(name) and len(palette()) == count
    assert all(isinstance(value, str) for value in classes())
    assert all(len(colour) == 3 and 0 <= min(colour) <= max(colour) < 256 for colour in palette())


def test_values_are_those_of_the_data_set_and_ones_own_to_change():
    get_classes('cityscapes')[0] = get_palette('cityscapes')[0][0] = 'changed'
    assert get_classes('cityscapes') == list(CityscapesDataset.METAINFO['classes'])
    assert get_palette('cityscapes')[0] == [128, 64, 128]


@pytest.mark.parametrize('name, aliases', dataset_aliases.items())
def test_aliases(name, aliases):
    assert name in aliases and all(get_classes(alias) == get_classes(name) for alias in aliases)


def test_the_name_of_a_class_of_data_set_will_do_and_case_does_not_matter():
    assert get_classes('LEVIRCDDataset') == ['background', 'changed']
    assert get_palette('Cityscapes') == get_palette('cityscapes')


@pytest.mark.parametrize('name, message', [
    ('cityscape', "'cityscape' is not the name .* did you mean cityscapes"), ('ade-20k', 'did you mean ade20k'),
    ('qqqq', 'known are cityscapes, ade, voc'), ('BaseSegDataset', 'list of classes')])
def test_an_unknown_name_is_answered_with_the_nearest(name, message):
    with pytest.raises(InputError, match=message):
        get_classes(name)
    with pytest.raises(TypeError, match='is a str, but got 3'):
        get_palette(3)
