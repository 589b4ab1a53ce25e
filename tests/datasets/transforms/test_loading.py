"""Loading images, labels and depth maps, and numbering the labels."""
import cv2
import numpy as np
import pytest

from mmseg.datasets.transforms import (
    InferencerLoader,
    LoadAnnotations,
    LoadDepthAnnotation,
    LoadImageFromFile,
    LoadImageFromNDArray,
)
from mmseg.datasets.transforms.loading import renumber
from mmseg.utils.errors import InputError

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
LABEL = np.random.default_rng(1).integers(0, 5, (20, 30), np.uint8)


@pytest.fixture
def files(tmp_path):
    """`files(name=array, …)` writes PNG files and returns what the data set gives."""
    def write(**arrays):
        for name, array in arrays.items():
            cv2.imwrite(str(tmp_path / f'{name}.png'), array)
        return dict(img_path=str(tmp_path / 'image.png'), seg_map_path=str(tmp_path / 'label.png'),
                    depth_map_path=str(tmp_path / 'depth.png'), seg_fields=[], label_map=None, reduce_zero_label=False)

    return write


def test_image_and_label(files):
    results = LoadAnnotations()(LoadImageFromFile()(files(image=IMAGE, label=LABEL)))
    np.testing.assert_array_equal(results['img'], IMAGE)
    np.testing.assert_array_equal(results['gt_seg_map'], LABEL)
    assert results['img_shape'] == results['ori_shape'] == (20, 30)
    assert results['seg_fields'] == ['gt_seg_map']
    assert results['gt_seg_map'].dtype == np.uint8


def test_image_options(files):
    results = files(image=IMAGE)
    assert LoadImageFromFile(to_float32=True)(results)['img'].dtype == np.float32
    assert LoadImageFromFile(color_type='grayscale')(results)['img'].shape == (20, 30)
    assert repr(LoadImageFromFile()) == ("LoadImageFromFile(ignore_empty=False, to_float32=False, color_type='color', "
                                         "imdecode_backend='cv2', backend_args=None)")


def test_a_missing_or_broken_image(files, tmp_path):
    results = files(image=IMAGE)
    path = tmp_path / 'image.png'
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r'image\.png: found a truncated PNG file'):
        LoadImageFromFile()(results)
    assert LoadImageFromFile(ignore_empty=True)(results) is None
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r'image\.png'):
        LoadImageFromFile()(results)
    assert LoadImageFromFile(ignore_empty=True)(results) is None


def test_an_array_takes_the_place_of_a_file():
    results = LoadImageFromNDArray(to_float32=True)(dict(img=IMAGE))
    assert results['img'].dtype == np.float32
    assert (results['img_path'], results['img_shape'], results['ori_shape']) == (None, (20, 30), (20, 30))


def test_the_inferencer_takes_paths_arrays_and_results(files, tmp_path):
    path = files(image=IMAGE)['img_path']
    loader = InferencerLoader()
    for single_input in (path, tmp_path / 'image.png', IMAGE, dict(img_path=path), dict(img=IMAGE)):
        np.testing.assert_array_equal(loader(single_input)['img'], IMAGE)
    with pytest.raises(InputError, match='an image was given as int, expected a path'):
        loader(3)


# ---------------------------------------------------------------------- labels

def test_reduce_zero_label_follows_the_data_set(files):
    results = dict(files(label=LABEL), reduce_zero_label=True)
    expected = np.where(LABEL == 0, 255, LABEL - 1)
    for transform in (LoadAnnotations(), LoadAnnotations(reduce_zero_label=True)):
        np.testing.assert_array_equal(transform(dict(results, seg_fields=[]))['gt_seg_map'], expected)
    with pytest.raises(InputError, match='reduce_zero_label=False here and True in the data set'):
        LoadAnnotations(reduce_zero_label=False)(results)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize('reduce_zero_label', [False, True])
def test_renumbering_equals_replacing_one_by_one(dtype, reduce_zero_label):
    label = np.random.default_rng(0).choice([0, 1, 2, 3, 4, 254, 255], (30, 40)).astype(dtype)
    label_map = {0: 1, 1: 0, 2: 255, 3: -1}
    expected = label.astype(int)
    if reduce_zero_label:
        expected = np.where((label == 0) | (label == 255), 255, expected - 1)
    before = expected.copy()
    for old, new in label_map.items():
        expected[before == old] = 255 if new == -1 else new
    out = renumber(label, reduce_zero_label, label_map)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, expected)


def test_more_classes_than_8_bits_stay_exact(files):
    label = np.arange(600, dtype=np.uint16).reshape(20, 30)
    results = dict(files(label=label), reduce_zero_label=True, ignore_index=65535)
    out = LoadAnnotations()(results)['gt_seg_map']
    assert out.dtype == np.uint16
    np.testing.assert_array_equal(out, label - 1)  # 0 wraps to 65535, which is ignored
    out = LoadAnnotations()(dict(files(label=label), label_map={599: 0}))['gt_seg_map']
    assert out[-1, -1] == 0 and (out.ravel()[:-1] == np.arange(599)).all()


def test_new_ids_may_need_a_wider_type():
    out = renumber(np.array([[0, 1]], np.uint8), False, {1: 300})
    assert out.tolist() == [[0, 300]]


def test_labels_of_another_size_than_their_image(files):
    results = LoadImageFromFile()(files(image=IMAGE, label=LABEL[:, :29]))
    with pytest.raises(InputError, match=r'label\.png: found labels of 20 x 29 pixels for .*image\.png of 20 x 30'):
        LoadAnnotations()(results)


def test_labels_loaded_after_a_resize_are_compared_with_the_file(files):
    results = LoadImageFromFile()(files(image=IMAGE, label=LABEL))
    results['img'] = results['img'][:10]
    assert LoadAnnotations()(results)['gt_seg_map'].shape == (20, 30)


def test_loading_twice_lists_the_labels_once(files):
    results = files(label=LABEL)
    assert LoadAnnotations()(LoadAnnotations()(results))['seg_fields'] == ['gt_seg_map']


# ---------------------------------------------------------------------- depth

def test_depth(files, tmp_path):
    depth = np.random.default_rng(0).integers(0, 60000, (20, 30), np.uint16)
    results = LoadDepthAnnotation(depth_rescale_factor=1e-3)(files(depth=depth))
    assert results['gt_depth_map'].dtype == np.float32
    np.testing.assert_allclose(results['gt_depth_map'], depth * 1e-3, rtol=1e-6)
    assert results['seg_fields'] == ['gt_depth_map']
    np.save(tmp_path / 'depth.npy', depth)
    results = dict(depth_map_path=str(tmp_path / 'depth.npy'))
    out = LoadDepthAnnotation(decode_backend='numpy', to_float32=False)(results)['gt_depth_map']
    np.testing.assert_array_equal(out, depth)
