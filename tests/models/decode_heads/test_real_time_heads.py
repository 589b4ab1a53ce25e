"""The heads of DDRNet, PIDNet and MobileNetV3 (Lite R-ASPP)."""
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData

from mmseg.models.decode_heads import DDRHead, LRASPPHead, PIDHead
from mmseg.models.decode_heads.pid_head import BasePIDHead
from mmseg.structures import SegDataSample
from tests.golden import fill, image

OHEM = dict(type='OhemCrossEntropy', thres=0.9, min_kept=20)
CROSS_ENTROPY = dict(type='CrossEntropyLoss', loss_weight=0.4)
OF_DDR = [OHEM, dict(OHEM, loss_weight=0.4)]
OF_PID = [CROSS_ENTROPY, OHEM, dict(type='BoundaryLoss', loss_weight=20.), OHEM]


def ddr_head(losses=OF_DDR, **options):
    return fill(DDRHead(16, 6, num_classes=5, loss_decode=losses, dropout_ratio=0., **options))


def pid_head(losses=OF_PID, **options):
    return fill(PIDHead(16, 6, num_classes=5, loss_decode=losses, dropout_ratio=0., **options))


def lraspp_head(**options):
    given = dict(in_channels=(4, 8, 12), in_index=(0, 1, 2), channels=6, num_classes=5, norm_cfg=dict(type='BN'),
                 branch_channels=(3, 5), input_transform='multiple_select')
    return fill(LRASPPHead(**dict(given, **options)))


def features(*channels):
    return tuple(image(9, 13, 2, c, seed=c + i) for i, c in enumerate(channels))


def labelled(edges=True):
    samples = []
    for seed in range(2):
        labels = torch.randint(0, 5, (1, 65, 97), generator=torch.Generator().manual_seed(seed))
        labels[:, :4] = 255
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels))
        if edges:
            sample.gt_edge_map = PixelData(data=(labels == 1).long())
        samples.append(sample)
    return samples


def test_ddr_head_has_two_losses():
    head = ddr_head().train()
    joined, spatial = head(features(8, 16))
    assert joined.shape == spatial.shape == (2, 5, 9, 13)
    losses = head.loss_by_feat((joined, spatial), labelled())
    labels = torch.cat([sample.gt_sem_seg.data for sample in labelled()])
    large = [F.interpolate(x, (65, 97), mode='bilinear') for x in (joined, spatial)]
    expected = [loss(x, labels) for loss, x in zip(head.loss_decode, large)]
    torch.testing.assert_close([losses['loss_context'], losses['loss_spatial']], expected)
    hits = (large[0].argmax(1) == labels)[labels != 255].float().mean()
    torch.testing.assert_close(losses['acc_seg'], hits.view_as(losses['acc_seg']) * 100)


def test_pid_head_has_four_losses():
    head = pid_head(align_corners=True).train()
    torch.nn.init.constant_(head.d_cls_seg.bias, 1.2)  # so that some pixels are taken for boundaries and some are not
    logits = head(features(8, 16, 8))
    assert [list(x.shape) for x in logits] == [[2, 5, 9, 13], [2, 5, 9, 13], [2, 1, 9, 13]]
    losses = head.loss_by_feat(logits, labelled())
    labels = torch.cat([sample.gt_sem_seg.data for sample in labelled()])
    p, i, d = (F.interpolate(x, (65, 97), mode='bilinear', align_corners=True) for x in logits)
    taken = d[:, 0].sigmoid() > 0.8
    assert 0.05 < taken.float().mean() < 0.95
    of_p, of_i, of_d, of_pixels = head.loss_decode
    expected = dict(loss_sem_p=of_p(p, labels, ignore_index=255), loss_sem_i=of_i(i, labels),
                    loss_bd=of_d(d, (labels == 1).long()), loss_sem_bd=of_pixels(i, labels.masked_fill(~taken, 255)))
    assert list(losses) == [*expected, 'acc_seg']
    torch.testing.assert_close({key: losses[key] for key in expected}, expected)


@pytest.mark.parametrize('make, channels', [(ddr_head, (8, 16)), (pid_head, (8, 16, 8))])
def test_evaluation_is_that_of_the_joined_feature(make, channels):
    head, inputs = make(), features(*channels)
    of_training = dict(zip((ddr_head, pid_head), (0, 1)))[make]
    with torch.no_grad():
        for norm in (m for m in head.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            norm.eval()
        expected = head(inputs)[of_training]
        torch.testing.assert_close(head.eval()(inputs[1]), expected)


@pytest.mark.parametrize('make, channels', [(ddr_head, (8, 16)), (pid_head, (8, 16, 8))])
def test_every_parameter_learns(make, channels):
    head = make().train()
    losses = head.loss(features(*channels), labelled(), {})
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    assert [key for key, p in head.named_parameters() if p.grad is None or p.grad.abs().sum() == 0] == []


def test_another_label_can_be_ignored():
    head = ddr_head(ignore_index=4).train()
    samples = labelled()
    for sample in samples:
        sample.gt_sem_seg.data[sample.gt_sem_seg.data == 255] = 4
    with_4 = head.loss(features(8, 16), samples, {})
    for sample in samples:
        sample.gt_sem_seg.data[sample.gt_sem_seg.data == 4] = 255
    without = ddr_head().train().loss(features(8, 16), samples, {})
    torch.testing.assert_close(with_4['loss_context'], without['loss_context'])


def test_samples_without_edges_are_refused():
    with pytest.raises(ValueError, match="no `gt_edge_map`: put dict.type='GenerateEdge'"):
        pid_head().train().loss(features(8, 16, 8), labelled(edges=False), {})


@pytest.mark.parametrize('make, losses, words', [
    (ddr_head, OF_DDR[:1], 'DDRHead is a list of 2 losses, of the joined .* found 1'),
    (pid_head, OF_DDR, 'PIDHead is a list of 4 losses.* found 2'), (pid_head, CROSS_ENTROPY, 'found 1'),
])
def test_a_loss_for_each_output_is_needed(make, losses, words):
    with pytest.raises(ValueError, match=words):
        make(losses)


def test_base_pid_head_may_leave_the_classifier_out():
    head, x = fill(BasePIDHead(8, 6)).eval(), image(9, 13, 2, 8)
    assert head(x, None).shape == (2, 6, 9, 13) and head(x, None).min() >= 0
    assert torch.equal(head(x, torch.neg), -head(x, None))


@pytest.mark.parametrize('size, windows', [((520, 1030), (2, 5)), ((393, 777), (1, 3)), ((65, 97), (1, 1))])
def test_lraspp_pools_large_windows_or_all_of_a_small_feature(size, windows):
    head = lraspp_head().eval()
    fine, middle, deep = (image(-(-size[0] // s), -(-size[1] // s), 1, c) for s, c in ((2, 4), (4, 8), (8, 12)))
    with torch.no_grad():
        pooled = head.image_pool[0](deep)
        assert pooled.shape[2:] == windows
        torch.testing.assert_close(pooled[0, 0, 0, 0], deep[0, 0, :49, :49].mean())
        if size[0] < 100:
            assert head((fine, middle, deep)).shape == (1, 5, *fine.shape[2:])


def test_lraspp_gates_the_deepest_feature_and_joins_finer_ones():
    head = lraspp_head(align_corners=True).eval()
    fine, middle, deep = image(33, 49, 1, 4), image(17, 25, 1, 8), image(9, 13, 1, 12)
    with torch.no_grad():
        gate = torch.sigmoid(head.image_pool[1].conv(deep.mean((2, 3), keepdim=True)))
        x = head.conv_up_input(head.aspp_conv(deep) * gate)
        for i, skipped in ((1, middle), (0, fine)):
            x = F.interpolate(x, skipped.shape[2:], mode='bilinear', align_corners=True)
            x = head.conv_ups[f'conv_up{i}'](torch.cat([x, head.convs[f'conv{i}'](skipped)], 1))
        torch.testing.assert_close(head((fine, middle, deep)), head.conv_seg(x))


@pytest.mark.parametrize('options', [dict(branch_channels=(3,)), dict(input_transform='resize_concat'),
                                     dict(in_channels=12, in_index=2, input_transform=None)])
def test_lraspp_needs_a_branch_for_each_finer_feature(options):
    with pytest.raises(ValueError, match='one more in_channels than branch_channels'):
        lraspp_head(**options)
