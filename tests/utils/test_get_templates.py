"""Sentences in which CLIP is shown the names of classes."""
import pytest

from mmseg.utils.errors import InputError
from mmseg.utils.get_templates import get_predefined_templates


@pytest.mark.parametrize('name, count, some', [
    ('imagenet', 80, ['a bad photo of a {}.', 'a jpeg corrupted photo of the {}.', 'a photo of a hard to see {}.',
                      'graffiti of the {}.', 'a origami {}.', 'the {} in a video game.', 'itap of my {}.']),
    ('vild', 14, ['a photo of a {}.', 'This is a photo of a {}', 'There is the {} in the scene',
                  'This is a photo of a medium {}.', 'There is a large {} in the scene.'])])
def test_sets(name, count, some):
    sentences = get_predefined_templates(name)
    assert len(set(sentences)) == len(sentences) == count and set(some) <= set(sentences)
    assert all(sentence.count('{}') == 1 for sentence in sentences)


def test_an_unknown_set():
    with pytest.raises(InputError, match="'coco' is not a set of templates: choose one of imagenet, vild"):
        get_predefined_templates('coco')
