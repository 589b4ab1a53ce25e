import pytest

from mmseg.serving.limits import Limits, Refused, check_image
from mmseg.utils.errors import InputError
from tests.serving.broken import encoded, png_header


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.webp'])
def test_the_size_comes_from_the_header(suffix):
    assert check_image(encoded(suffix, 40, 56), 'x', Limits()) == (56, 40)


def test_the_limit_of_pixels():
    assert check_image(png_header(1000, 1000), 'x', Limits(megapixels=1)) == (1000, 1000)
    with pytest.raises(Refused, match='x: found 1001 x 1000 pixels, expected at most 1 megapixels') as refused:
        check_image(png_header(1001, 1000), 'x', Limits(megapixels=1))
    assert refused.value.status == 413


def test_limits_are_positive():
    assert Limits(megabytes=2).bytes == 2_000_000
    with pytest.raises(InputError, match='the limit queue has to be above 0, found 0'):
        Limits(queue=0)
