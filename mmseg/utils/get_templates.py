"""Sentences about an image in which CLIP is shown the name of a class; `{}` is its place."""
from __future__ import annotations

from mmseg.utils.errors import InputError


def _imagenet() -> list[str]:
    """The 80 sentences that CLIP's authors wrote for ImageNet, https://arxiv.org/abs/2103.00020, section 3.1.4."""
    qualities = ('bad', 'low resolution', 'cropped', 'bright', 'dark', 'close-up', 'black and white', 'pixelated',
                 'jpeg corrupted', 'blurry', 'good')
    states = ('hard to see', 'clean', 'dirty', 'cool', 'large', 'nice', 'weird', 'small')
    pictures = ('a photo', 'a sculpture', 'a rendering', 'graffiti', 'a tattoo', 'a drawing', 'a painting', 'a doodle',
                'a sketch', 'a rendition', 'art', 'itap')
    materials = ('embroidered', 'plastic', 'origami', 'toy', 'cartoon', 'plushie')
    sentences = ['a photo of many {}.', 'a photo of my {}.', 'a photo of one {}.', 'itap of my {}.']
    for article in ('a', 'the'):
        sentences += [f'a {quality} photo of {article} {{}}.' for quality in qualities]
        sentences += [f'a photo of {article} {state} {{}}.' for state in states]
        sentences += [f'{picture} of {article} {{}}.' for picture in pictures]
        sentences += [f'{article} {material} {{}}.' for material in materials]
        sentences.append(f'{article} {{}} in a video game.')
    return sentences


def _vild() -> list[str]:
    """The 14 sentences of ViLD, https://arxiv.org/abs/2104.13921, as open-vocabulary segmentation uses them."""
    sentences = ['a photo of a {}.', 'This is a photo of a {}', 'There is a {} in the scene',
                 'There is the {} in the scene', 'a photo of a {} in the scene']
    for size in ('small', 'medium', 'large'):
        sentences += [f'a photo of a {size} {{}}.', f'This is a photo of a {size} {{}}.',
                      f'There is a {size} {{}} in the scene.']
    return sentences


_SETS = {'imagenet': _imagenet, 'vild': _vild}


def get_predefined_templates(template_set_name: str) -> list[str]:
    """Return the sentences of a set, `'imagenet'` or `'vild'`."""
    if template_set_name not in _SETS:
        raise InputError(f'{template_set_name!r} is not a set of templates: choose one of {", ".join(_SETS)}, or give '
                         "a list of sentences with {} for the class, such as ['a photo of a {}.']")
    return _SETS[template_set_name]()
