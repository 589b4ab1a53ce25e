"""DepthMetric against the definitions."""
import cv2
import numpy as np
import pytest
import torch

from mmseg.evaluation import DepthMetric


def sample(pred, target=None):
    pred, target = (None if x is None else dict(data=torch.as_tensor(x, dtype=torch.float32)[None])
                    for x in (pred, target))
    return dict(pred_depth_map=pred, gt_depth_map=target, img_path='room/1.jpg')


def naive(pred, target):
    ratio, gap, log_gap = np.maximum(pred / target, target / pred), pred - target, np.log(pred) - np.log(target)
    return dict(d1=(ratio < 1.25).mean(), d2=(ratio < 1.25**2).mean(), d3=(ratio < 1.25**3).mean(),
                abs_rel=(abs(gap) / target).mean(), sq_rel=(gap**2 / target).mean(), rmse=(gap**2).mean()**.5,
                rmse_log=(log_gap**2).mean()**.5, log10=abs(np.log10(pred) - np.log10(target)).mean(),
                silog=((log_gap**2).mean() - .5 * log_gap.mean()**2)**.5)


def maps(shape=(4, 5)):
    rng = np.random.default_rng(1)
    return rng.random(shape, np.float32) * 9 + .5, rng.random(shape, np.float32) * 12


def test_errors_of_images_are_averaged():
    metric = DepthMetric(min_depth_eval=1, max_depth_eval=10)
    images = [maps(), tuple(x[:2] for x in maps((6, 7)))]
    for image in images:
        metric.process({}, [sample(*image)])
    unknown = (np.ones((4, 5)), np.zeros((4, 5)))
    metric.process({}, [sample(*unknown)])  # does not count
    counted = [(target > 1) & (target < 10) for _, target in images]
    per_image = [naive(*(x[which].astype(float) for x in image)) for image, which in zip(images, counted)]
    expected = {name: np.mean([errors[name] for errors in per_image]) for name in DepthMetric.METRICS}
    assert metric.evaluate(3) == pytest.approx(expected, rel=1e-6)


def test_nyu_crop_and_choice_of_metrics():
    pred, target = maps((480, 640))
    metric = DepthMetric(['rmse', 'd1'], crop_type='nyu_crop', prefix='test')
    metric.process({}, [sample(pred, target)])
    errors = naive(pred[45:471, 41:601].astype(float), target[45:471, 41:601].astype(float))
    assert metric.evaluate(1) == pytest.approx({'test/rmse': errors['rmse'], 'test/d1': errors['d1']}, rel=1e-5)


def test_nothing_known():
    metric = DepthMetric(['rmse'])
    metric.process({}, [sample(np.ones((2, 2)), np.zeros((2, 2)))])
    assert np.isnan(metric.evaluate(1)['rmse'])


def test_files(tmp_path):
    metric = DepthMetric(output_dir=str(tmp_path), format_only=True, depth_scale_factor=1000)
    metric.process({}, [sample([[1.5, 9.25]])])
    assert metric.evaluate(1) == {}
    written = cv2.imread(str(tmp_path / '1.png'), cv2.IMREAD_UNCHANGED)
    assert (written.dtype, written.tolist()) == (np.uint16, [[1500, 9250]])


@pytest.mark.parametrize(('options', 'message'), [
    (dict(depth_metrics=['rmse', 'mse']), r"\['mse'\] are not known"),
    (dict(crop_type='kitti_crop'), "'kitti_crop': choose 'nyu_crop'"),
    (dict(format_only=True), 'set output_dir'),
])
def test_options(options, message):
    with pytest.raises(ValueError, match=message):
        DepthMetric(**options)
