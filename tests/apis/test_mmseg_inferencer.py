import cv2
import numpy as np
import pytest

from mmseg.apis import MMSegInferencer
from mmseg.registry import INFERENCERS
from mmseg.structures import SegDataSample
from mmseg.utils import get_classes, get_palette
from mmseg.utils.config import known_configs
from mmseg.visualization.drawing import distinct_colors
from tests.cli.tiny import CLASSES, PALETTE


@pytest.fixture(scope='module')
def inferencer(project):
    made = MMSegInferencer(str(project), str(project.with_suffix('.pth')), device='cpu')
    made.show_progress = False
    return made


@pytest.fixture(scope='module')
def folder(project):
    return project.parent / 'data' / 'images' / 'part'


def test_one_image_gives_labels_and_nothing_is_written(inferencer, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = inferencer(str(folder / '0.png'))
    assert set(result) == {'predictions', 'visualization'}
    assert result['predictions'].shape == (48, 64)
    assert set(np.unique(result['predictions'])) <= {0, 1, 2}
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_files_and_arrays_and_a_folder_agree(inferencer, folder):
    listed = inferencer([str(folder / '0.png'), cv2.imread(str(folder / '1.png'))], batch_size=2)['predictions']
    whole = inferencer(str(folder), batch_size=4)['predictions']
    assert len(whole) == 6
    assert np.array_equal(whole[0], listed[0]) and np.array_equal(whole[1], listed[1])
    assert not np.array_equal(whole[0], whole[1])


def test_images_of_unlike_sizes_fit_into_a_batch(inferencer):
    images = [np.full((height, 40, 3), 90, np.uint8) for height in (20, 31, 20)]
    shapes = [labels.shape for labels in inferencer(images, batch_size=3)['predictions']]
    assert shapes == [(20, 40), (31, 40), (20, 40)]


def test_pictures_and_labels_are_written_under_the_names_of_the_images(inferencer, folder, tmp_path):
    result = inferencer([str(folder / '2.png')], out_dir=str(tmp_path), opacity=1., return_vis=True, with_labels=False)
    labels = cv2.imread(str(tmp_path / 'pred' / '2.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(labels, result['predictions'])
    assert np.array_equal(result['visualization'], np.array(PALETTE, np.uint8)[labels])
    assert cv2.imread(str(tmp_path / 'vis' / '2.jpg')).shape == (48, 64, 3)
    inferencer(np.zeros((8, 9, 3), np.uint8), out_dir=str(tmp_path), img_out_dir='')
    assert len(list((tmp_path / 'pred').glob('0000000?_pred.png'))) == 1
    assert len(list((tmp_path / 'vis').iterdir())) == 1


def test_an_image_is_drawn_in_its_own_colours(inferencer, folder):
    file = str(folder / '3.png')
    from_file, from_array = inferencer(
        [file, cv2.imread(file)], return_vis=True, opacity=0., with_labels=False)['visualization']
    assert np.array_equal(from_file, cv2.imread(file)[..., ::-1])
    assert np.array_equal(from_array, from_file)


def test_samples_are_returned_on_request(inferencer, folder):
    one = inferencer(str(folder / '0.png'), return_datasamples=True)
    assert isinstance(one, SegDataSample)
    assert one.seg_logits.data.shape == (3, 48, 64)
    two = inferencer([str(folder / '0.png')] * 2, return_datasamples=True)
    assert [type(sample) for sample in two] == [SegDataSample] * 2


@pytest.mark.parametrize(('options', 'classes', 'palette'), [
    ({}, CLASSES, PALETTE),
    (dict(classes=['x', 'y', 'z']), ['x', 'y', 'z'], distinct_colors(3)),
    (dict(palette=[[1, 1, 1]] * 3), CLASSES, [[1, 1, 1]] * 3),
    (dict(dataset_name='cityscapes'), get_classes('cityscapes'), get_palette('cityscapes')),
    (dict(classes='voc', palette='voc'), get_classes('voc'), get_palette('voc'))])
def test_names_and_colours_can_be_chosen(project, options, classes, palette):
    made = MMSegInferencer(str(project), str(project.with_suffix('.pth')), device='cpu', **options)
    meta = made.visualizer.dataset_meta
    assert list(meta['classes']) == list(classes)
    assert [list(color) for color in meta['palette']] == palette


def test_an_unknown_argument_is_refused(inferencer, folder):
    with pytest.raises(ValueError, match='opaciti'):
        inferencer(str(folder / '0.png'), opaciti=0.3)


def test_published_models_are_listed_and_known_by_name():
    names = MMSegInferencer.list_models('mmseg', r'fcn_r50-d8.*cityscapes')
    assert 'fcn_r50-d8_4xb2-40k_cityscapes-512x1024' in names
    assert all(name.startswith('fcn_r50-d8') for name in names)
    assert len(MMSegInferencer.list_models()) == len(known_configs())
    assert INFERENCERS.get('MMSegInferencer') is MMSegInferencer
