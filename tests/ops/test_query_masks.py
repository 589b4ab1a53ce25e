import pytest
import torch
import torch.nn.functional as F

from mmseg.ops import Geometry, QueryMasks, query_masks, restore_logits


def example(queries=5, classes=7, height=8, width=11):
    scores = torch.randn(2, queries, classes).softmax(-1)
    masks = F.interpolate(torch.randn(2, queries, 4, 5), (height, width), mode='bicubic') * 5
    return QueryMasks(scores, masks)


def stored(made, size):
    """The definition, with every logit at once."""
    masks = F.interpolate(made.masks, size, mode='bilinear', align_corners=False).sigmoid()
    return torch.einsum('nqc,nqhw->nchw', made.scores, masks)


@pytest.fixture(params=[None, 3])
def strips(request, monkeypatch):
    """All rows at once, or only some."""
    if request.param:
        monkeypatch.setattr(query_masks, 'CHUNK_BYTES', 4 * 7 * 44 * request.param)


@pytest.mark.parametrize('size', [(32, 44), (31, 45), (8, 11), (5, 11), (1, 1)])
def test_logits_of_a_batch(strips, size):
    made = example()
    torch.testing.assert_close(made.logits(size), stored(made, size), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('flip', [None, 'horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize('ori_shape', [None, (29, 40), (50, 61), (11, 80)])
def test_logits_and_labels_of_the_original_image(strips, align_corners, flip, ori_shape):
    batch = example()
    geometry = Geometry((32, 44), (1, 3, 2, 1), flip, ori_shape, align_corners)
    for made, full in zip(batch, stored(batch, (32, 44))):
        expected = restore_logits(full, geometry)
        torch.testing.assert_close(made.restore(geometry), expected, rtol=1e-4, atol=1e-5)
        found = made.labels(geometry)
        assert found.dtype == torch.long and found.shape == (1, *expected.shape[1:])
        wrong = found[0] != expected.argmax(0)
        best, second = expected.topk(2, 0).values
        assert (best - second)[wrong].lt(1e-4).all() and wrong.float().mean() < 0.01


def test_memory_is_bounded(monkeypatch):
    """No tensor of all queries or all classes at full size is made."""
    monkeypatch.setattr(query_masks, 'CHUNK_BYTES', 1 << 16)
    largest = [0]

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **kwargs or {})
            if isinstance(out, torch.Tensor):
                largest[0] = max(largest[0], out.numel() * out.element_size())
            return out

    made = next(iter(example(queries=50, classes=60)))
    with Watch():
        made.labels(Geometry((256, 200)))
    assert largest[0] <= max(1 << 16, 256 * 200 * 8)  # a strip, or the labels
    assert 20 * largest[0] < 50 * 256 * 200 * 4
