"""CityscapesMetric against the official scripts, on small files."""
import sys

import cv2
import numpy as np
import pytest
import torch

from mmseg.evaluation import CityscapesMetric

ROAD, CAR, BACKGROUND = (0, 7), (13, 26), (255, 0)  # id in training, official id


@pytest.fixture
def truth(tmp_path):
    """Two small images: labels of road, car and unlabelled pixels; one car as an instance."""
    pytest.importorskip('cityscapesscripts')
    ids = np.full((8, 12), ROAD[1], np.uint8)
    ids[2:6, 3:9] = CAR[1]
    ids[0] = BACKGROUND[1]
    instances = ids.astype(np.uint16)
    instances[ids == CAR[1]] = CAR[1] * 1000
    for name in ('a', 'b'):
        cv2.imwrite(str(tmp_path / f'{name}_gtFine_labelIds.png'), ids)
        cv2.imwrite(str(tmp_path / f'{name}_gtFine_instanceIds.png'), instances)
    return ids


def samples(folder, truth):
    for name, missed in (('a', 0), ('b', 2)):
        pred = np.full(truth.shape, ROAD[0])
        pred[2:6, 3 + missed:9] = CAR[0]
        yield dict(pred_sem_seg=dict(data=torch.from_numpy(pred)[None]), img_path=f'images/{name}_leftImg8bit.png',
                   seg_map_path=str(folder / f'{name}_gtFine_labelTrainIds.png'))


def test_scores(tmp_path, truth):
    metric = CityscapesMetric(str(tmp_path / 'results'), prefix='citys')
    metric.process({}, samples(tmp_path, truth))
    metric.process({}, samples(tmp_path, truth))  # as from a sampler that gives images twice
    values = metric.evaluate(2)
    car, road = 40 / 48, 120 / 128  # 8 pixels of the car were taken for road
    assert values['citys/averageScoreClasses'] == pytest.approx((car + road) / 2)
    assert values['citys/averageScoreCategories'] == pytest.approx((car + road) / 2)
    assert {'citys/averageScoreInstClasses', 'citys/averageScoreInstCategories'} < set(values)
    assert not (tmp_path / 'results').exists()


def test_other_files_of_the_folder_stay(tmp_path, truth):
    folder = tmp_path / 'results'
    folder.mkdir()
    (folder / 'mine.txt').write_text('kept')
    metric = CityscapesMetric(str(folder))
    metric.process({}, samples(tmp_path, truth))
    metric.evaluate(2)
    del metric
    assert [path.name for path in folder.iterdir()] == ['mine.txt']


def test_files_for_the_server(tmp_path, truth):
    metric = CityscapesMetric(str(tmp_path / 'results'), format_only=True, keep_results=True)
    metric.process({}, samples(tmp_path, truth))
    assert metric.evaluate(2) == {}
    written = cv2.imread(str(tmp_path / 'results' / 'a_leftImg8bit.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(written[1:], truth[1:])
    assert (written[0] == ROAD[1]).all()


def test_official_ids(tmp_path):
    labels = pytest.importorskip('cityscapesscripts.helpers.labels')
    metric = CityscapesMetric(str(tmp_path), format_only=True, keep_results=True)
    pred = torch.tensor([[[*range(19), 255]]])
    metric.process({}, [dict(pred_sem_seg=dict(data=pred), img_path='x.png')])
    written = cv2.imread(str(tmp_path / 'x.png'), cv2.IMREAD_UNCHANGED)
    assert written[0].tolist() == [labels.trainId2label[c].id for c in range(19)] + [0]


def test_errors(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='keep_results=True'):
        CityscapesMetric(str(tmp_path), format_only=True)
    monkeypatch.setitem(sys.modules, 'cityscapesscripts', None)
    monkeypatch.delitem(sys.modules, 'cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling', raising=False)
    with pytest.raises(ImportError, match='pip install cityscapesscripts'):
        CityscapesMetric(str(tmp_path))
