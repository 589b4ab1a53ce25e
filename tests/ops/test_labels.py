import pytest
import torch
import torch.nn.functional as F

from mmseg.ops import Geometry, average_views, labels, logits_to_labels, restore_logits


def smooth_logits(classes, height, width):
    generator = torch.Generator().manual_seed(0)
    return F.interpolate(torch.randn(1, classes, 4, 5, generator=generator), (height, width), mode='bicubic')[0]


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('flip', [None, 'horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('ori_shape', [None, (33, 80)])
def test_labels_class_by_class_equal_argmax_of_full_logits(monkeypatch, align_corners, flip, ori_shape):
    logits = smooth_logits(7, 16, 24)
    geometry = Geometry((64, 96), (0, 3, 0, 5), flip, ori_shape, align_corners)
    full = restore_logits(logits, geometry)
    assert full.shape == (7, *(ori_shape or (59, 93)))
    monkeypatch.setattr(labels, 'CHUNK_BYTES', 2 * 64 * 96 * 4)  # two classes at a time
    assert torch.equal(logits_to_labels(logits, geometry), full.argmax(0, keepdim=True))


def test_restore_undoes_padding_and_flip():
    image = smooth_logits(2, 6, 8)
    seen = F.pad(image.flip(-1), (1, 2, 0, 3))
    assert torch.equal(restore_logits(seen, Geometry((9, 11), (1, 2, 0, 3), 'horizontal')), image)


def test_unknown_flip_is_refused():
    with pytest.raises(ValueError, match='sideways'):
        restore_logits(smooth_logits(2, 4, 4), Geometry((4, 4), flip='sideways'))


def test_single_channel_is_cut_at_the_threshold():
    logits = torch.tensor([[[-1.0, 0.0, 1.0]]])
    assert logits_to_labels(logits, Geometry((1, 3)), 0.4).tolist() == [[[0, 1, 1]]]
    assert average_views([logits, -logits], 0.6).tolist() == [[[0, 0, 0]]]


def test_views_are_averaged_as_probabilities():
    sure, unsure = torch.tensor([[[5.0]], [[0.0]]]), torch.tensor([[[0.0]], [[1.5]]])
    assert (sure + 2 * unsure).argmax(0).item() == 0
    assert average_views([sure, unsure, unsure]).item() == 1
