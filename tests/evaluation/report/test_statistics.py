import cv2
import numpy as np
import pytest
import torch

from mmseg.evaluation import IoUMetric
from mmseg.evaluation.report.boundary import band_width, boundary_areas
from mmseg.evaluation.report.calibration import confidence_of, expected_calibration_error, reliability
from mmseg.evaluation.report.statistics import Statistics, accuracy, bootstrap, iou, mean


def labels(seed, height=90, width=120, classes=5, ignored=True):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (6, 8)).astype(np.uint8)
    truth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    pred = np.roll(truth, int(rng.integers(1, 6)), int(rng.integers(0, 2)))
    if ignored:
        truth[:7] = 255
    return pred, truth


def test_figures_are_those_of_the_metric():
    statistics, metric = Statistics(5), IoUMetric(iou_metrics=['mIoU'])
    metric.dataset_meta = dict(classes=list('abcde'))
    for seed in range(6):
        pred, truth = labels(seed)
        score = statistics.add(pred, truth)
        metric.process({}, [dict(pred_sem_seg=dict(data=torch.from_numpy(pred)[None]),
                                 gt_sem_seg=dict(data=torch.from_numpy(truth)[None]))])
        assert 0 < score < 1
    wanted = metric.evaluate(6)
    found = statistics.figures(rounds=50)
    for name in ('mIoU', 'mAcc', 'aAcc'):
        assert round(100 * float(found[name].value), 2) == pytest.approx(wanted[name], abs=0.011)
        assert found[name].low <= found[name].value <= found[name].high
        assert found[name].low < found[name].high
    assert 'ECE' not in found and statistics.reliability is None
    assert statistics.matrix.sum() == 6 * 83 * 120 and len(statistics) == 6


@pytest.mark.parametrize('size', [(90, 120), (33, 200)])
def test_boundary_areas_are_those_of_eroded_masks(size):
    """The definition of the paper, mask by mask: what an erosion by `width` pixels takes away."""
    pred, truth = labels(3, *size)
    width = band_width(*size)

    def band(mask):
        framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        return mask & ~cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1].astype(bool)
    known = truth != 255
    expected = []
    for label in range(5):
        found, wanted = band((pred == label) & known), band((truth == label) & known)
        expected.append([(found & wanted).sum(), found.sum(), wanted.sum()])
    assert np.array_equal(boundary_areas(pred, truth, 5), np.transpose(expected))


def test_boundary_iou_sees_outlines_where_iou_does_not():
    truth = np.zeros((400, 400), np.uint8)
    truth[50:350, 50:350] = 1
    pred = np.zeros_like(truth)
    pred[56:344, 56:344] = 1
    areas = np.stack([[(pred & truth).sum()], [pred.sum()], [truth.sum()]])
    assert iou(areas)[0] > 0.9
    assert iou(boundary_areas(pred, truth, 2))[1] < 0.5
    assert band_width(480, 640) == 16 and band_width(2, 2) == 1


@pytest.mark.parametrize('channels', [1, 4])
def test_confidence_is_the_largest_probability(channels):
    logits = 3 * torch.randn(channels, 300, 20)
    probabilities = logits.softmax(0) if channels > 1 else torch.cat([logits.sigmoid(), 1 - logits.sigmoid()])
    assert torch.allclose(confidence_of(logits), probabilities.amax(0), atol=1e-6)


def test_calibration_error_is_the_mean_distance():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55, 1.])
    right = np.array([True, True, True, False, True, False, True])
    sums = reliability(confidence, right, bins=10)
    assert sums[0].tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 5]
    assert sums[2, 9] == 4 and sums[1, 5] == pytest.approx(1.1)
    assert expected_calibration_error(sums) == pytest.approx((abs(4.8 - 4) + abs(1.1 - 1)) / 7)


def test_the_network_that_knows_its_errors_has_none():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 200_000)
    right = rng.random(200_000) < confidence
    assert expected_calibration_error(reliability(confidence, right)) < 0.01


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Images are drawn from known chances; 95 % intervals of the accuracy miss it in about 5 % of the trials."""
    rng, held, images = np.random.default_rng(1), 0, 60
    for _ in range(200):
        chances = rng.beta(8, 2, images)  # of mean 0.8
        right = rng.binomial(100, chances)
        sums = np.stack([right, np.full(images, 100), np.full(images, 100)], axis=1)[..., None].astype(float)
        found = bootstrap(sums, accuracy, rounds=200)
        held += found.low <= 0.8 <= found.high
    assert 178 <= held <= 200


def test_classes_that_do_not_occur_count_nowhere():
    areas = np.array([[[3., 0], [4, 0], [5, 0]], [[1., 0], [1, 0], [1, 0]]])
    found = bootstrap(areas, iou, rounds=20)
    assert found.value[0] == pytest.approx(4 / 7) and np.isnan([found.value[1], found.low[1], found.high[1]]).all()
    assert mean(found.value) == pytest.approx(4 / 7)
    assert np.isnan(mean(np.array([np.nan, np.nan])))
