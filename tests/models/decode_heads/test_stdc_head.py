"""The detail head of STDC."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData

from mmseg.models.decode_heads import STDCHead
from mmseg.structures import SegDataSample
from tests.golden import fill, image

OPTIONS = dict(in_channels=4, channels=6, num_convs=1, num_classes=2, in_index=0, concat_input=False,
               norm_cfg=dict(type='BN'), align_corners=True, loss_decode=[
                   dict(type='CrossEntropyLoss', use_sigmoid=True), dict(type='DiceLoss', loss_name='loss_dice')])


def blocks(height, width):
    """Classes in blocks, a strip and a single pixel of others, and an ignored corner: (1, 1, height, width)."""
    label = (np.arange(height)[:, None] // 7 + 2 * (np.arange(width) // 9)) % 4
    label[:, 3] = 5
    label[height // 2, width // 2] = 6
    label[:4, -6:] = 255
    return torch.as_tensor(label)[None, None]


def boundaries_one_by_one(label, threshold):
    """The paper's figure, pixel by pixel: Laplacians of stride 1, 2 and 4, enlarged, weighed and cut."""
    padded = np.pad(label.numpy()[0, 0].astype(float), 1)
    height, width = label.shape[2:]

    def laplacian(stride):
        out = np.zeros((-(-height // stride), -(-width // stride)))
        for y, x in np.ndindex(*out.shape):
            window = padded[y * stride:y * stride + 3, x * stride:x * stride + 3]
            out[y, x] = 9 * window[1, 1] - window.sum() > threshold
        return F.interpolate(torch.as_tensor(out)[None, None], (height, width)).numpy()[0, 0]

    votes = 6 * laplacian(1) + 3 * laplacian(2) + 1 * laplacian(4)
    return votes > 10 * threshold


@pytest.mark.parametrize('threshold', [0.1, 0.5])
@pytest.mark.parametrize('size', [(32, 48), (33, 47), (5, 4)])
def test_boundaries(size, threshold):
    head = STDCHead(boundary_threshold=threshold, **OPTIONS)
    label = blocks(*size)
    found = head.boundaries(label)
    assert found.shape == label.shape and found.dtype == torch.long
    np.testing.assert_array_equal(found[0, 0].numpy(), boundaries_one_by_one(label, threshold))
    assert 0 < found.sum() < found.numel()
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(head.boundaries(label), found)


def test_an_area_of_one_class_has_no_boundary_inside():
    found = STDCHead(**OPTIONS).boundaries(torch.full((2, 1, 24, 24), 3))
    assert found[:, :, 4:-4, 4:-4].sum() == 0 and found[:, :, 0].all()  # beyond the image is class 0


def test_losses_compare_with_the_boundaries():
    head = fill(STDCHead(**OPTIONS)).train()
    head.dropout = None
    with torch.no_grad():  # as they start; `fill` changed them
        head.laplacian_kernel.copy_(STDCHead(**OPTIONS).laplacian_kernel)
        head.fusion_kernel.copy_(STDCHead(**OPTIONS).fusion_kernel)
    labels = [blocks(32, 48)[0], blocks(32, 48)[0].flip(-1)]
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    inputs = [image(5, 7, 2, 4)]
    losses = head.loss(inputs, samples, None)
    assert set(losses) == {'loss_ce', 'loss_dice', 'acc_seg'}

    logits = F.interpolate(head(inputs), (32, 48), mode='bilinear', align_corners=True)
    target = F.one_hot(head.boundaries(torch.stack(labels)).squeeze(1), 2).movedim(-1, 1).float()
    torch.testing.assert_close(losses['loss_ce'], F.binary_cross_entropy_with_logits(logits, target))
    torch.testing.assert_close(losses['acc_seg'].item(), 100 * target.gather(
        1, logits.argmax(1, keepdim=True)).mean().item(), rtol=1e-4, atol=1e-3)
    (losses['loss_ce'] + losses['loss_dice']).backward()
    assert [key for key, p in head.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == ['fusion_kernel']


def test_kernels_are_part_of_the_weights_but_do_not_learn():
    head = STDCHead(**OPTIONS)
    state = head.state_dict()
    assert state['laplacian_kernel'].sum() == 0 and state['laplacian_kernel'][0, 0, 1, 1] == 8
    torch.testing.assert_close(state['fusion_kernel'].flatten(), torch.tensor([0.6, 0.3, 0.1]))
    assert not head.fusion_kernel.requires_grad
