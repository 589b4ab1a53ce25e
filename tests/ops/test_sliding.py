import pytest
import torch

from mmseg.ops import window_counts, window_grid


@pytest.mark.parametrize('size, window, stride, number', [
    ((1024, 2048), (512, 512), (256, 256), 3 * 7),
    ((769, 769), (769, 769), (513, 513), 1),
    ((65, 97), (64, 64), (42, 42), 2 * 2),
    ((30, 200), (64, 64), (42, 42), 1 * 5),
])
def test_windows_cover_everything_and_are_counted(size, window, stride, number):
    windows = window_grid(size, window, stride)
    assert len(windows) == number
    covered = torch.zeros(size)
    for top, bottom, left, right in windows:
        assert (bottom - top, right - left) == (min(size[0], window[0]), min(size[1], window[1]))
        covered[top:bottom, left:right] += 1
    rows, columns = window_counts(size, window, stride)
    assert covered.min() > 0 and torch.equal(rows * columns, covered)


@pytest.mark.parametrize('stride', [(0, 1), (3, 5)])
def test_strides_that_leave_gaps_are_refused(stride):
    with pytest.raises(ValueError, match='stride <= crop_size'):
        window_grid((8, 8), (4, 4), stride)
