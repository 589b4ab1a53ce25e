import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from mmseg.registry import VISUALIZERS
from mmseg.structures import SegDataSample
from mmseg.utils import get_classes, get_palette
from mmseg.visualization import SegLocalVisualizer

CLASSES, PALETTE = ('road', 'car'), [[128, 64, 128], [0, 0, 142]]
IMAGE = np.full((30, 40, 3), 100, np.uint8)


@pytest.fixture
def sample():
    truth = torch.zeros(1, 30, 40, dtype=torch.long)
    truth[:, 10:20, 10:30] = 1
    truth[:, :5] = 255
    return SegDataSample(gt_sem_seg=PixelData(data=truth), pred_sem_seg=PixelData(data=torch.ones_like(truth)))


def visualizer(**options):
    return SegLocalVisualizer(**{**dict(classes=CLASSES, palette=PALETTE, alpha=1.), **options})


def test_names_and_colours_come_from_arguments_a_data_set_or_cityscapes():
    assert SegLocalVisualizer().dataset_meta == dict(
        classes=get_classes('cityscapes'), palette=get_palette('cityscapes'))
    assert SegLocalVisualizer(dataset_name='ade').dataset_meta['classes'] == get_classes('ade')
    assert visualizer().dataset_meta == dict(classes=CLASSES, palette=PALETTE)
    assert len(visualizer(palette=None).dataset_meta['palette']) == 2
    with pytest.raises(ValueError, match='2 classes but 1 colours'):
        visualizer(palette=PALETTE[:1])


def test_truth_and_prediction_are_drawn_beside_each_other(sample):
    picture = visualizer().draw(IMAGE, sample, with_labels=False)
    assert picture.shape == (30, 80, 3)
    assert picture[15, 20].tolist() == PALETTE[1]
    assert picture[25, 20].tolist() == PALETTE[0]
    assert picture[2, 20].tolist() == [0, 0, 0]
    assert (picture[:, 40:] == PALETTE[1]).all()


@pytest.mark.parametrize(('options', 'width'), [
    (dict(draw_gt=False), 40), (dict(draw_pred=False), 40), (dict(draw_gt=False, draw_pred=False), 40)])
def test_each_can_be_left_out(sample, options, width):
    picture = visualizer().draw(IMAGE, sample, with_labels=False, **options)
    assert picture.shape == (30, width, 3)
    assert picture[15, 20].tolist() == ([100] * 3 if len(options) == 2 else PALETTE[1])


def test_alpha_mixes(sample):
    assert visualizer(alpha=0.5).draw(IMAGE, sample, with_labels=False)[15, 20].tolist() == [50, 50, 121]


def test_names_change_the_picture(sample):
    plain, named = (visualizer().draw(IMAGE, sample, with_labels=flag) for flag in (False, True))
    assert (plain != named).any()


def test_a_sample_is_written_to_a_file_and_becomes_the_current_image(sample, tmp_path):
    drawer = visualizer()
    drawer.add_datasample('x', IMAGE, sample, out_file=str(tmp_path / 'deep' / 'x.png'), with_labels=False)
    written = cv2.imread(str(tmp_path / 'deep' / 'x.png'))[..., ::-1]
    assert np.array_equal(written, drawer.draw(IMAGE, sample, with_labels=False))
    assert np.array_equal(drawer.get_image(), written)


def test_shapes_are_drawn_on_the_current_image():
    drawer = visualizer()
    drawer.set_image(IMAGE)
    assert np.array_equal(drawer.get_image(), IMAGE)
    drawer.draw_bboxes(np.array([5, 5, 20, 20]), face_colors='r', edge_colors='r', alpha=1.)
    assert drawer.get_image()[12, 12].tolist() == [255, 0, 0]
    assert drawer.get_image()[25, 35].tolist() == [100] * 3
    drawer.set_image(IMAGE)
    assert np.array_equal(drawer.get_image(), IMAGE)


def test_without_a_screen_nothing_waits_for_a_key(monkeypatch):
    monkeypatch.setattr('matplotlib.get_backend', lambda: 'agg')
    with pytest.warns(UserWarning, match="no window can be shown here .*'agg'"):
        visualizer().add_datasample('x', IMAGE, show=True)


def test_backends_get_what_has_no_file(sample, tmp_path):
    drawer = visualizer(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path))
    drawer.add_datasample('street', IMAGE, sample, step=7)
    assert cv2.imread(str(tmp_path / 'vis_data' / 'vis_image' / 'street_7.png')).shape == (30, 80, 3)


def test_depth_maps_are_drawn():
    depth = torch.linspace(1, 9, 1200).reshape(1, 30, 40)
    sample = SegDataSample(gt_depth_map=PixelData(data=depth), pred_depth_map=PixelData(data=depth.flip(-2)))
    picture = visualizer().draw(IMAGE, sample).astype(int)
    assert picture.shape == (30, 80, 3)
    assert picture[0, :40, 0].mean() < picture[29, :40, 0].mean()
    assert picture[0, 40:, 0].mean() > picture[29, 40:, 0].mean()


def test_panels_show_image_truth_prediction_and_the_classes_in_them(sample):
    picture = visualizer().draw_panels(IMAGE, sample)
    assert picture.shape[1] == 3 * 40 * 8 + 2 * 4
    legend = picture[-20:]
    assert all((legend == color).all(-1).any() for color in PALETTE)
    sample.gt_sem_seg.data.fill_(1)
    legend = visualizer().draw_panels(IMAGE, sample)[-20:]
    assert not (legend == PALETTE[0]).all(-1).any()


def test_labels_of_another_size_are_refused_with_both_sizes(sample):
    with pytest.raises(ValueError, match=r'image has \(10, 10\).*labels \(30, 40\)'):
        visualizer().draw(IMAGE[:10, :10], sample)


def test_a_config_builds_it():
    built = VISUALIZERS.build(dict(type='SegLocalVisualizer', name='of_a_config', alpha=0.3))
    assert isinstance(built, SegLocalVisualizer)
    assert built.alpha == 0.3
