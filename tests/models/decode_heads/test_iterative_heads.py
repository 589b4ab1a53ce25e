"""Heads that compute by iteration: SegNeXt's Hamburger and K-Net."""
import pytest
import torch
import torch.nn.functional as F

from mmseg.models.decode_heads.ham_head import NMF2D
from mmseg.registry import MODELS
from tests.golden import fill, image

UPDATOR = dict(type='KernelUpdator', in_channels=8, feat_channels=8, out_channels=8)
UPDATE = dict(type='KernelUpdateHead', num_classes=5, num_heads=2, num_mask_fcs=1, feedforward_channels=8,
              in_channels=8, out_channels=8, kernel_updator_cfg=UPDATOR)
FIRST = dict(type='FCNHead', in_channels=6, channels=8, num_classes=5, num_convs=1, concat_input=False)


def knet(**options):
    return fill(MODELS.build(dict(dict(type='IterativeDecodeHead', num_stages=2, kernel_generate_head=FIRST,
                                       kernel_update_head=[UPDATE] * 2), **options)))


def test_a_matrix_of_low_rank_is_found_again():
    torch.manual_seed(0)
    x = torch.rand(2, 12, 3) @ torch.rand(2, 3, 80)  # of rank 3
    found = NMF2D(dict(MD_R=3, eval_steps=300)).eval()(x.view(2, 12, 8, 10)).view_as(x)
    assert (found - x).norm() < 0.02 * x.norm()
    few = NMF2D(dict(MD_R=3, eval_steps=1)).eval()(x.view(2, 12, 8, 10)).view_as(x)
    assert (few - x).norm() > 2 * (found - x).norm()


def test_groups_of_channels_are_decomposed_by_themselves():
    x = torch.rand(1, 12, 4, 5)
    x[:, 6:] = 0
    found = NMF2D(dict(MD_S=2, MD_R=4)).eval()(x)
    assert found[:, 6:].abs().max() < 1e-6 < found[:, :6].min()
    with pytest.raises(ValueError, match='12 channels cannot be shared by MD_S=5'):
        NMF2D(dict(MD_S=5))(x)


def test_bases_can_be_kept():
    decomposition = NMF2D(dict(MD_R=2, rand_init=False)).eval()
    x = torch.rand(2, 4, 3, 3)
    torch.testing.assert_close(decomposition(x), decomposition(x), rtol=0, atol=0)


def test_an_image_gets_the_same_labels_each_time_and_training_draws_anew():
    x, state = torch.rand(2, 4, 3, 3), torch.get_rng_state()
    decomposition = NMF2D(dict(MD_R=2)).eval()
    alone = decomposition(x[1:])
    torch.testing.assert_close(torch.get_rng_state(), state, rtol=0, atol=0)
    torch.testing.assert_close(NMF2D(dict(MD_R=2)).eval()(x)[1:], alone)
    decomposition.train()
    assert not torch.equal(decomposition(x), decomposition(x))
    assert not decomposition.state_dict()


def test_every_stage_learns_and_the_last_one_predicts():
    head, feature = knet(), [image(8, 12, channels=6)]
    stages = head.train()(feature)
    assert [tuple(logits.shape) for logits in stages] == [(1, 5, 8, 12)] * 3
    assert tuple(head.eval()(feature).shape) == (1, 5, 8, 12)


@pytest.mark.parametrize('size', [1, 3])
def test_masks_are_convolutions_with_the_kernels(size):
    update = fill(MODELS.build(dict(UPDATE, conv_kernel_size=size, num_mask_fcs=0, with_ffn=False))).eval()
    x, kernels = image(6, 7, batch=2, channels=8), torch.randn(2, 5, size * size, 8)
    weights = update.fc_mask(kernels).transpose(2, 3).reshape(2, 5, 8, size, size)
    expected = torch.cat([F.conv2d(x[i:i + 1], weights[i], padding=size // 2) for i in range(2)])
    torch.testing.assert_close(update._masks(x, kernels), expected, atol=1e-5, rtol=1e-4)


def test_stages_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match='num_stages=3 needs as many kernel_update_head, found 2'):
        knet(num_stages=3)
    with pytest.raises(ValueError, match='num_classes=7 and in_channels=8: they must be num_classes=5 and channels=8'):
        knet(kernel_update_head=[UPDATE, dict(UPDATE, num_classes=7)])
