"""Images and labels of all kinds of files, and what is said about files that are none."""
import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mmseg.utils.errors import InputError
from mmseg.utils.imread import decode_image, decode_labels, file_kind

RNG = np.random.default_rng(0)
COLOURS = cv2.GaussianBlur(RNG.integers(0, 256, (40, 60, 3), np.uint8), (0, 0), 2)
IDS = RNG.integers(0, 19, (40, 60), np.uint8)


def encode(array, suffix='.png'):
    return cv2.imencode(suffix, array)[1].tobytes()


def save(picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, **{'format': 'png', **options})
    return buffer.getvalue()


def tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


# ---------------------------------------------------------------------- images

@pytest.mark.parametrize('suffix, kind', [('.png', 'PNG'), ('.jpg', 'JPEG'), ('.tif', 'TIFF'), ('.bmp', 'BMP')])
def test_formats(suffix, kind):
    content = encode(COLOURS, suffix)
    assert file_kind(content) == kind
    difference = decode_image(content, 'a').astype(int) - COLOURS
    assert np.abs(difference).mean() < (5 if kind == 'JPEG' else 1e-9)


@pytest.mark.parametrize('bands', [None, 1, 3, 4, 6])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize('planar', [False, True])
def test_tiff_files_of_any_bands_and_type(bands, dtype, planar):
    shape = (40, 60, bands) if bands else (40, 60)
    array = (RNG.random(shape) * 200).astype(dtype)
    stored = np.moveaxis(array, -1, 0) if planar and bands else array
    layout = ('separate' if planar else 'contig') if bands and bands > 1 else None
    content = tiff(stored, photometric='minisblack', planarconfig=layout)
    image = decode_image(content, 'a', 'unchanged')
    assert image.dtype == dtype
    np.testing.assert_array_equal(image.reshape(shape), array)
    if not planar:
        np.testing.assert_array_equal(decode_image(content, 'a', 'unchanged', 'tifffile').reshape(shape), array)


@pytest.mark.parametrize('bands', [3, 4])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
@pytest.mark.parametrize('layout', ['contig', 'separate'])
def test_tiff_colours_are_bgr(bands, dtype, layout):
    array = RNG.integers(0, 256, (40, 60, bands)).astype(dtype)
    stored = np.moveaxis(array, -1, 0) if layout == 'separate' else array
    image = decode_image(tiff(stored, photometric='rgb', planarconfig=layout,
                              extrasamples=['unassalpha'] * (bands - 3)), 'a', 'unchanged')
    np.testing.assert_array_equal(image, array[..., [2, 1, 0, 3][:bands]])


def test_16_bits_stay_where_asked_for():
    deep = RNG.integers(0, 65536, (40, 60), np.uint16)
    np.testing.assert_array_equal(decode_image(encode(deep), 'a', 'unchanged'), deep)


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.tif', '.bmp'])
@pytest.mark.parametrize('kept', [0.3, 0.9])
def test_a_truncated_file_is_refused(suffix, kept):
    content = encode(COLOURS, suffix)
    with pytest.raises(InputError, match=r'road/a\.x: found a .*fetch it again'):
        decode_image(content[:int(len(content) * kept)], 'road/a.x')


def test_a_truncated_file_with_a_thumbnail_is_refused():
    thumbnail = encode(COLOURS[:8, :8], '.jpg')
    content = encode(COLOURS, '.jpg')
    with_thumbnail = content[:2] + b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail + content[2:]
    assert decode_image(with_thumbnail, 'a').shape == COLOURS.shape
    with pytest.raises(InputError, match='found a truncated JPEG file, which breaks off after'):
        decode_image(with_thumbnail[:-300], 'a')


def test_bytes_after_the_end_do_no_harm():
    for suffix in ('.png', '.jpg'):
        assert decode_image(encode(COLOURS, suffix) + b'\0' * 50, 'a').shape == COLOURS.shape


@pytest.mark.parametrize('content, words', [
    (b'', 'a: found an empty file, expected an image'),
    (b'<html><body>Not found', "a: found bytes that begin with b'<html><body>Not ', expected an image file"),
    (b'II*\0 and no more', 'a: found a TIFF file of 16 bytes that this reader cannot decode'),
])
def test_what_is_no_image_is_named(content, words):
    with pytest.raises(InputError, match=words):
        decode_image(content, 'a')


def test_a_damaged_file_is_refused():
    content = bytearray(encode(COLOURS))
    content[60:90] = bytes(30)
    with pytest.raises(InputError, match='a: found a damaged PNG file'):
        decode_image(bytes(content), 'a')


# ---------------------------------------------------------------------- labels

@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
def test_labels_of_one_band(backend):
    for ids in (IDS, IDS.astype(np.uint16) * 900):
        label = decode_labels(encode(ids), 'a', backend)
        assert label.dtype == ids.dtype
        np.testing.assert_array_equal(label, ids)


@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
def test_a_palette_file_gives_indices(backend):
    picture = Image.fromarray(IDS, 'L').convert('P')
    picture.putdata(IDS.ravel().tolist())
    picture.putpalette(RNG.integers(0, 256, 57).tolist())
    for options in ({}, {'bits': 8}, {'transparency': 0}):
        np.testing.assert_array_equal(decode_labels(save(picture, **options), 'a', backend), IDS)


def test_a_map_of_two_values_in_one_bit_gives_0_and_1():
    content = save(Image.fromarray(IDS > 9))
    label = decode_labels(content, 'a')
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, IDS > 9)


def test_grey_with_a_transparent_level_gives_its_levels():
    content = save(Image.fromarray(IDS), transparency=3)
    np.testing.assert_array_equal(decode_labels(content, 'a'), IDS)


@pytest.mark.parametrize('dtype', [np.uint16, np.int32, np.uint8, np.float32])
def test_tiff_labels(dtype):
    ids = IDS.astype(dtype) * (1000 if dtype in (np.uint16, np.int32) else 1)
    for backend in ('pillow', 'tifffile'):
        label = decode_labels(tiff(ids), 'a', backend)
        assert label.dtype.kind in 'iu'
        np.testing.assert_array_equal(label, ids)


def test_a_picture_of_colours_is_refused_and_its_colours_told():
    mask = np.zeros((4, 5, 3), np.uint8)
    mask[1:, :, 2] = 128  # BGR: dark red
    with pytest.raises(InputError, match=r'label\.png: found a picture of 2 RGB colours \(4 x 5 x 3\), the most '
                                         r'frequent \(128, 0, 0\), \(0, 0, 0\), expected a label map .*palette'):
        decode_labels(encode(mask), 'label.png')


@pytest.mark.parametrize('array, words', [
    (np.repeat(IDS[..., None], 3, 2), 'whose 3 bands .40 x 60 x 3. all hold the same ids, expected one band'),
    (np.full((3, 3), 0.5, np.float32), 'found a map of float32 from 0.5 to 0.5 with fractions.*use LoadDepth'),
    (np.full((3, 3), -1, np.int32), 'found labels from -1 to -1, expected ids from 0 upwards'),
    (np.zeros((4, 5, 2), np.uint8), 'found an array of 4 x 5 x 2, expected a label map'),
])
def test_what_is_no_label_map_is_named(array, words):
    with pytest.raises(InputError, match=f'a: .*{words}'):
        decode_labels(tiff(array, photometric='minisblack', planarconfig='contig' if array.ndim == 3 else None), 'a',
                      'tifffile')
