from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from torch import nn

from mmseg.engine.hooks.visualization_hook import SegVisualizationHook, image_folders, predict_first, relative_path
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

CLASSES, PALETTE = ('road', 'car'), [[128, 64, 128], [0, 0, 142]]


class Network(nn.Module):
    """Predicts class 1 where the blue band is bright."""

    def test_step(self, data):
        assert not self.training
        assert not torch.is_grad_enabled()
        for image, sample in zip(data['inputs'], data['data_samples']):
            assert sample.ori_shape == tuple(image.shape[-2:])
            sample.pred_sem_seg = PixelData(data=(image[:1] > 128).long())
        return data['data_samples']


@pytest.fixture
def samples(tmp_path):
    made = []
    for name in ('a/x.png', 'b/x.png'):
        file = tmp_path / 'images' / name
        file.parent.mkdir(parents=True)
        cv2.imwrite(str(file), np.full((10, 12, 3), 77, np.uint8))
        labels = PixelData(data=torch.zeros(1, 10, 12, dtype=torch.long))
        made.append(SegDataSample(metainfo=dict(img_path=str(file)), gt_sem_seg=labels, pred_sem_seg=labels.clone()))
    return made


@pytest.fixture
def runner(tmp_path):
    dataset = SimpleNamespace(data_prefix=dict(img_path=str(tmp_path / 'images')))
    visualizer = SegLocalVisualizer(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path), alpha=1.,
                                    classes=CLASSES, palette=PALETTE)
    return SimpleNamespace(visualizer=visualizer, iter=9, rank=0, model=Network(),
                           test_dataloader=SimpleNamespace(dataset=dataset))


def pictures(tmp_path):
    files = (file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob('*.png'))
    return sorted(name for name in files if not name.startswith('images'))


def test_nothing_is_drawn_unless_asked(runner, samples, tmp_path):
    hook = HOOKS.build(dict(type='SegVisualizationHook'))
    hook.after_val_iter(runner, 49, outputs=samples)
    hook.after_test_iter(runner, 49, outputs=samples)
    hook.after_train_iter(runner, 49, data_batch=None)
    assert pictures(tmp_path) == []


def test_validation_draws_at_its_interval_under_the_names_of_the_images(runner, samples, tmp_path):
    hook = SegVisualizationHook(draw=True, interval=3)
    for batch in range(5):
        hook.after_val_iter(runner, batch, outputs=[samples[0]])
    assert pictures(tmp_path) == ['vis_data/vis_image/val_x_9.png']
    picture = cv2.imread(str(tmp_path / 'vis_data/vis_image/val_x_9.png'))
    assert picture.shape == (10, 24, 3)


def test_the_test_writes_panels_into_the_folders_of_the_images(runner, samples, tmp_path):
    hook = SegVisualizationHook(draw=True, interval=1, out_dir=str(tmp_path / 'out'))
    hook.after_test_iter(runner, 0, outputs=samples)
    assert pictures(tmp_path) == ['out/a/x.png', 'out/b/x.png']
    assert cv2.imread(str(tmp_path / 'out/a/x.png')).shape[1] == 3 * 12 * 24 + 2 * 4


def test_without_a_folder_the_test_uses_the_backends(runner, samples, tmp_path):
    SegVisualizationHook(draw=True, interval=1).after_test_iter(runner, 0, outputs=samples[:1])
    assert pictures(tmp_path) == ['vis_data/vis_image/test_x_9.png']


def training_batch():
    image = torch.zeros(3, 6, 8, dtype=torch.uint8)
    image[0, :, 4:] = 200
    truth = torch.zeros(1, 9, 9, dtype=torch.long)  # padded to the size of the batch
    sample = SegDataSample(metainfo=dict(img_path='far/away/street.jpg', ori_shape=(600, 800)),
                           gt_sem_seg=PixelData(data=truth))
    return dict(inputs=[image], data_samples=[sample])


def test_the_first_image_of_a_training_batch_is_predicted_as_it_was_augmented(runner):
    runner.model.train()
    image, sample = predict_first(runner.model, training_batch())
    assert runner.model.training
    assert image.shape == (6, 8, 3)
    assert image[0, 7].tolist() == [0, 0, 200]
    assert sample.pred_sem_seg.data[0].tolist() == [[0] * 4 + [1] * 4] * 6
    assert sample.gt_sem_seg.data.shape == (1, 6, 8)


def test_training_draws_at_its_interval(runner, tmp_path):
    hook = SegVisualizationHook(train_interval=5)
    for runner.iter in range(8, 12):
        hook.after_train_iter(runner, runner.iter, data_batch=training_batch())
    assert pictures(tmp_path) == ['vis_data/vis_image/train_street_10.png']


@pytest.mark.parametrize(('path', 'roots', 'name'), [
    ('d/images/a/b.png', ['d/images'], 'a/b.png'), ('d/images2/b.png', ['d/images'], 'b.png'),
    ('e/x/b.png', ['d', 'e'], 'x/b.png'), ('e/b.png', [], 'b.png')])
def test_paths_below_the_folder_of_images(path, roots, name):
    assert relative_path(path, roots) == name


def test_folders_of_a_data_set():
    assert image_folders(SimpleNamespace(data_prefix=dict(img_path=['a', 'b']))) == ['a', 'b']
    assert image_folders(SimpleNamespace()) == []
