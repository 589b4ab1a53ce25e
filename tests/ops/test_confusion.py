"""The confusion matrix against counting pixel by pixel."""
import numpy as np
import pytest
import torch

from mmseg.ops import confusion, confusion_matrix


def naive(pred, label, num_classes, ignore_index):
    """(num_classes, num_classes + 1); the last column holds predictions that are no class."""
    matrix = np.zeros((num_classes, num_classes + 1), np.int64)
    for p, t in zip(np.asarray(pred, np.int64).flat, np.asarray(label, np.int64).flat):
        if t != ignore_index:
            matrix[t, p if 0 <= p < num_classes else num_classes] += 1
    return matrix


def example(num_classes=5, ignore_index=255, dtype=np.int64):
    rng = np.random.default_rng(0)
    pred = rng.integers(0, num_classes + 1, (20, 30))  # one value too many
    label = rng.integers(0, num_classes, (20, 30))
    label[:3] = ignore_index
    return pred.astype(dtype), label.astype(dtype)


@pytest.mark.parametrize(('num_classes', 'ignore_index', 'dtype'), [
    (5, 255, np.int64), (5, 255, np.uint8), (5, 255, np.int32), (5, 0, np.uint8), (5, 255, np.uint16),
    (256, 255, np.int64),
    (5, -1, np.int64), (5, 65535, np.int32), (300, 299, np.int16), (300, 65535, np.uint16),  # more than a byte
])
@pytest.mark.parametrize('as_tensor', [False, True])
def test_every_pixel_is_counted_once(num_classes, ignore_index, dtype, as_tensor):
    pred, label = example(num_classes, ignore_index, dtype)
    expected = naive(pred, label, num_classes, ignore_index)
    if as_tensor:
        pred, label = torch.from_numpy(pred), torch.from_numpy(label)
    matrix = confusion_matrix(pred, label, num_classes, ignore_index, outside_column=True)
    assert (matrix.dtype, tuple(matrix.shape)) == (torch.int64, (num_classes, num_classes + 1))
    assert np.array_equal(matrix, expected)
    assert np.array_equal(confusion_matrix(pred, label, num_classes, ignore_index), expected[:, :num_classes])


def test_maps_larger_than_a_chunk(monkeypatch):
    monkeypatch.setattr(confusion, 'CHUNK', 64)
    pred, label = example()
    assert np.array_equal(confusion_matrix(pred, label, 5, outside_column=True), naive(pred, label, 5, 255))
    pred[-1, -1] = 1000  # found out in the last chunk only
    assert np.array_equal(confusion_matrix(pred, label, 5, outside_column=True), naive(pred, label, 5, 255))


def test_types_may_differ_and_memory_may_be_anywhere():
    pred, label = example()
    expected = naive(pred, label, 5, 255)[:, :5]
    assert np.array_equal(confusion_matrix(torch.from_numpy(pred), label.astype(np.uint8), 5), expected)
    assert np.array_equal(confusion_matrix(pred[::-1, ::-1], label[::-1, ::-1], 5), expected)
    label.flags.writeable = False
    assert np.array_equal(confusion_matrix(torch.from_numpy(pred).T, label.T, 5), expected)


def test_without_an_ignored_label():
    pred, label = example(ignore_index=4)
    assert confusion_matrix(pred, label, 5, ignore_index=None, outside_column=True).sum() == 600


def test_nothing_to_count():
    empty = torch.zeros(0, 5, dtype=torch.long)
    assert confusion_matrix(empty, empty, 3).tolist() == [[0] * 3] * 3
    ignored = torch.full((4,), 255)
    assert confusion_matrix(torch.zeros(4, dtype=torch.long), ignored, 3).sum() == 0


@pytest.mark.parametrize(('value', 'dtype'), [(7, np.uint8), (7, np.int64), (-3, np.int64), (70000, np.int64)])
def test_wrong_labels_are_named(value, dtype):
    pred, label = example()
    label[5, :4] = value
    with pytest.raises(ValueError, match=rf'labels hold {value} \(4 pixels\), but num_classes=5 allows 0 to 4'):
        confusion_matrix(pred.astype(dtype), label.astype(dtype), 5)


def test_other_mistakes_are_named():
    pred, label = example()
    with pytest.raises(ValueError, match=r'\(19, 30\) and labels \(20, 30\)'):
        confusion_matrix(pred[1:], label, 5)
    with pytest.raises(ValueError, match='argmax'):
        confusion_matrix(pred.astype(np.float32), label, 5)
