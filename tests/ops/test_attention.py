import pytest
import torch

from mmseg.ops import criss_cross_attention, psa_mask

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))]
PATTERNS = {
    'criss-cross': (criss_cross_attention, [(2, 3, 4, 5), (2, 3, 4, 5), (2, 6, 4, 5)]),
    'mask': (lambda mask: psa_mask(mask, (3, 4)), [(2, 12, 5, 3)]),
}


def arguments(shapes, **options):
    return [torch.randn(shape, **options) for shape in shapes]


def criss_cross_by_loops(query, key, value):
    """Softmax over the row and the rest of the column of each place, one place at a time."""
    out = torch.zeros_like(value)
    batch, _, height, width = query.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                seen = [(y, i) for i in range(width)] + [(j, x) for j in range(height) if j != y]
                weight = torch.stack([query[b, :, y, x] @ key[b, :, j, i] for j, i in seen]).softmax(0)
                out[b, :, y, x] = sum(w * value[b, :, j, i] for w, (j, i) in zip(weight, seen))
    return out


def mask_by_loops(mask, mask_size):
    """For each place j and each place i of its window: the weight that j predicted for i."""
    tall, wide = mask_size
    batch, _, height, width = mask.shape
    out = torch.zeros(batch, height * width, height * width)
    for y in range(height):
        for x in range(width):
            for m in range(tall):
                for n in range(wide):
                    j, i = y + m - (tall - 1) // 2, x + n - (wide - 1) // 2
                    if 0 <= j < height and 0 <= i < width:
                        out[:, j * width + i, y * width + x] = mask[:, m * wide + n, y, x]
    return out


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('size', [(4, 5), (1, 6), (6, 1), (1, 1), (7, 3)])
def test_criss_cross_attention_equals_loops(size, device):
    query, key, value = arguments([(2, 3, *size), (2, 3, *size), (2, 6, *size)])
    expected = criss_cross_by_loops(query, key, value)
    out = criss_cross_attention(query.to(device), key.to(device), value.to(device))
    torch.testing.assert_close(out.cpu(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('mask_size', [(7, 5), (3, 3), (1, 1), (9, 13), (4, 6), (3, 4)])
def test_psa_mask_equals_loops(mask_size, device):
    mask = torch.randn(2, mask_size[0] * mask_size[1], 4, 3)
    assert torch.equal(psa_mask(mask.to(device), mask_size).cpu(), mask_by_loops(mask, mask_size))


def test_psa_mask_refuses_channels_that_do_not_fit():
    with pytest.raises(ValueError, match='3 x 5 needs 15 channels, found 14'):
        psa_mask(torch.zeros(1, 14, 4, 4), (3, 5))


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('name', PATTERNS)
def test_gradients(name, device):
    function, shapes = PATTERNS[name]
    inputs = arguments(shapes, dtype=torch.float64, device=device, requires_grad=True)
    assert torch.autograd.gradcheck(function, inputs)


@pytest.mark.parametrize('name', PATTERNS)
def test_compiled_as_one_graph(name):
    function, shapes = PATTERNS[name]
    inputs = arguments(shapes)
    compiled = torch.compile(function, backend='aot_eager', fullgraph=True)
    torch.testing.assert_close(compiled(*inputs), function(*inputs))


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('name', PATTERNS)
def test_mixed_precision(name, device):
    function, shapes = PATTERNS[name]
    inputs = arguments(shapes, device=device)
    with torch.autocast(device, torch.bfloat16):
        out = function(*inputs)
    torch.testing.assert_close(out.float(), function(*inputs), rtol=0.05, atol=0.05)


@pytest.mark.parametrize('name', PATTERNS)
def test_half_precision_keeps_its_type(name):
    function, shapes = PATTERNS[name]
    inputs = arguments(shapes)
    out = function(*(x.bfloat16() for x in inputs))
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), function(*inputs), rtol=0.05, atol=0.05)


def test_memory_of_criss_cross_attention_grows_with_the_sides():
    """No tensor on the way is as large as attention of all places to all others would be."""
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            largest = max([largest, *(t.numel() for t in torch.utils._pytree.tree_leaves(out) if torch.is_tensor(t))])
            return out

    side = 24
    with Watch():
        criss_cross_attention(*arguments([(1, 2, side, side), (1, 2, side, side), (1, 4, side, side)]))
    assert largest == side * side * 2 * side
