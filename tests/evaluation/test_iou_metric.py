"""IoUMetric: known figures, files, several processes."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing

from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

FACTS = json.loads((Path(__file__).parents[1] / 'data' / 'metric_units.json').read_text())


def sample(pred, label=None, **meta):
    pred, label = (None if x is None else dict(data=torch.as_tensor(np.asarray(x))[None]) for x in (pred, label))
    return dict(pred_sem_seg=pred, gt_sem_seg=label, img_path='folder/street.x.jpg', **meta)


def random_samples(number, classes=4, shape=(37, 41)):
    rng = np.random.default_rng(classes)
    for _ in range(number):
        label = rng.integers(0, classes - 1, shape)
        pred = np.where(rng.random(shape) < 0.6, label, rng.integers(0, classes - 1, shape))
        label[:4] = 255
        yield sample(pred, label)


def metric_of(classes, **options):
    metric = METRICS.build(dict(type='IoUMetric', **options))
    metric.dataset_meta = dict(classes=[f'class {c}' for c in range(classes)])
    return metric


@pytest.mark.parametrize('fact', FACTS, ids=lambda fact: str(fact['kwargs']))
def test_known_figures(fact):
    metric = metric_of(fact['classes'], **fact['kwargs'])
    for one in random_samples(5):
        metric.process({}, [one])
    values = metric.evaluate(5)
    assert list(values) == list(fact['value'])
    assert values == pytest.approx(fact['value'], abs=1e-5)


def test_every_class_against_its_pixels():
    pred, label = torch.tensor([[0, 1, 1, 2, 3, 0]]), torch.tensor([[0, 1, 2, 2, 1, 255]])
    intersection, union, predicted, labelled = IoUMetric.intersect_and_union(pred, label, 3, 255)
    assert intersection.tolist() == [1, 1, 1]
    assert predicted.tolist() == [1, 2, 1]
    assert labelled.tolist() == [1, 2, 2]  # the pixel predicted as 3, which is no class, is missed all the same
    assert union.tolist() == [1, 3, 2]
    figures = IoUMetric.total_area_to_metrics(intersection, union, predicted, labelled, ['mIoU', 'mFscore'], beta=2)
    assert list(figures) == ['aAcc', 'IoU', 'Acc', 'Fscore', 'Precision', 'Recall']
    assert figures['aAcc'] == pytest.approx(3 / 5)
    assert figures['IoU'] == pytest.approx([1, 1 / 3, 1 / 2])
    assert figures['Fscore'] == pytest.approx([1, 5 * .25 / (4 * .5 + .5), 5 * .5 / (4 + .5)])


def test_absent_classes():
    areas = [np.array(area) for area in ([4, 0], [4, 0], [4, 0], [4, 0])]
    assert np.isnan(IoUMetric.total_area_to_metrics(*areas)['IoU'][1])
    assert IoUMetric.total_area_to_metrics(*areas, nan_to_num=-1)['IoU'].tolist() == [1, -1]
    metric = metric_of(3)
    metric.process({}, [sample([[0, 0]], [[0, 0]])])
    assert metric.evaluate(1) == dict(aAcc=100, mIoU=100, mAcc=100)


def test_memory_does_not_grow_and_the_next_epoch_starts_anew():
    metric = metric_of(4)
    for epoch in range(2):
        for one in random_samples(20):
            metric.process({}, [one])
        assert sum(entry.numel() for entry in metric.results) == 2 * 4 * 4
        values = metric.evaluate(20)
        if epoch == 0:
            first = values
    assert values == first
    assert metric.results == []


def test_prefix_and_table(caplog, monkeypatch):
    logged = []
    monkeypatch.setattr('mmseg.evaluation.metrics.iou_metric.print_log', lambda text, logger: logged.append(text))
    metric = metric_of(2, prefix='val', iou_metrics='mDice')
    metric.process({}, [sample([[0, 1, 1]], [[0, 0, 1]])])
    assert metric.evaluate(1) == {'val/aAcc': 66.67, 'val/mDice': 66.67, 'val/mAcc': 75.0}
    assert '| class 0 | 66.67 |  50.0 |' in logged[0]


def test_results_of_a_subclass_that_keeps_one_tuple_an_image():
    class Old(IoUMetric):

        def process(self, data_batch, data_samples):
            for one in data_samples:
                self.results.append(self.intersect_and_union(one['pred_sem_seg']['data'], one['gt_sem_seg']['data'],
                                                             len(self.dataset_meta['classes']), self.ignore_index))

    old, new = Old(), IoUMetric()
    for metric in (old, new):
        metric.dataset_meta = dict(classes='abcd')
        metric.process({}, list(random_samples(4)))
    assert old.evaluate(4) == new.evaluate(4)


@pytest.mark.parametrize(('classes', 'reduce_zero_label', 'dtype'), [
    (19, False, np.uint8), (150, True, np.uint8), (256, False, np.uint8), (256, True, np.uint16),
    (847, False, np.uint16),
])
def test_files(tmp_path, classes, reduce_zero_label, dtype):
    metric = metric_of(classes, output_dir=str(tmp_path / 'new'), format_only=True)
    pred = np.arange(classes)[:, None].repeat(2, 1)
    metric.process({}, [sample(pred, reduce_zero_label=reduce_zero_label)])
    assert metric.evaluate(1) == {}
    written = cv2.imread(str(tmp_path / 'new' / 'street.x.png'), cv2.IMREAD_UNCHANGED)
    assert written.dtype == dtype
    assert np.array_equal(written, pred + reduce_zero_label)


def test_files_beside_figures(tmp_path):
    metric = metric_of(2, output_dir=str(tmp_path))
    metric.process({}, [sample(np.array([[0, 1]], np.uint8), [[0, 1]])])
    assert metric.evaluate(1)['mIoU'] == 100
    assert (tmp_path / 'street.x.png').exists()


def test_errors():
    with pytest.raises(KeyError, match="'mAP'.*mIoU"):
        IoUMetric(iou_metrics=['mIoU', 'mAP'])
    with pytest.raises(KeyError, match="'IoU'"):
        IoUMetric.total_area_to_metrics(*[np.ones(2)] * 4, metrics='IoU')
    with pytest.raises(ValueError, match='set output_dir'):
        IoUMetric(format_only=True)
    metric = metric_of(2)
    with pytest.raises(ValueError, match=r'3 \(1 pixels\), but num_classes=2'):
        metric.process({}, [sample([[0, 1]], [[0, 3]])])


def evaluate_a_share(rank, world_size, store, padded, size, expected):
    torch.distributed.init_process_group('gloo', f'file://{store}', rank=rank, world_size=world_size)
    samples = list(random_samples(7))[:size]
    share = samples[rank::world_size]
    if padded and len(share) < -(-size // world_size):
        share.append(samples[0])  # what a sampler does to make the shares equal
    metric = metric_of(4)
    metric.process({}, share)
    assert metric.evaluate(size) == expected
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(('padded', 'size'), [(False, 7), (True, 7), (False, 2), (True, 2)])
def test_every_image_counts_once_in_three_processes(tmp_path, padded, size):
    single = metric_of(4)
    single.process({}, list(random_samples(7))[:size])
    multiprocessing.start_processes(
        evaluate_a_share, (3, tmp_path / 'store', padded, size, single.evaluate(size)), nprocs=3, start_method='fork')
