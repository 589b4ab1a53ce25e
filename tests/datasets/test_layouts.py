"""Every data set reads its files where its owner, or its converter, puts them: the folders of the published configs."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmseg.datasets import BaseSegDataset, HSIDrive20Dataset, LIPDataset, MultiImageMixDataset
from mmseg.registry import DATASETS
from mmseg.utils.errors import InputError

CONFIGS = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
FACTS = json.loads((Path(__file__).parents[1] / 'data' / 'datasets.json').read_text())
HEIGHT, WIDTH = 4, 6
LABELS = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 3).astype(np.uint8)
STEPS = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]

# Data set: its config, then for one sample the image, the label and, where there is one, the split file with its line.
LAYOUTS = {
    'ADE20KDataset': ('ade20k', 'images/training/ADE_train_00000001.jpg',
                      'annotations/training/ADE_train_00000001.png'),
    'BDD100KDataset': ('bdd100k', 'images/10k/train/0004a4c0-d4dff0ad.jpg',
                       'labels/sem_seg/masks/train/0004a4c0-d4dff0ad.png'),
    'COCOStuffDataset': ('coco-stuff164k', 'images/train2017/000000000009.jpg',
                         'annotations/train2017/000000000009_labelTrainIds.png'),
    'CamVidDataset': ('camvid', 'images/train/0001TP_006690.jpg', 'annotations/train/0001TP_006690.png'),
    'ChaseDB1Dataset': ('chase_db1', 'images/training/Image_01L.png', 'annotations/training/Image_01L_1stHO.png'),
    'CityscapesDataset': ('cityscapes', 'leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png',
                          'gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png'),
    'DRIVEDataset': ('drive', 'images/training/21.png', 'annotations/training/21_manual1.png'),
    'DarkZurichDataset': ('cityscapes_dark-zurich', 'rgb_anon/val/night/GOPR0356/GOPR0356_frame_000321_rgb_anon.png',
                          'gt/val/night/GOPR0356/GOPR0356_frame_000321_gt_labelTrainIds.png'),
    'HRFDataset': ('hrf', 'images/training/01_dr.png', 'annotations/training/01_dr.png'),
    'ISPRSDataset': ('vaihingen', 'img_dir/train/area1_0_0_512_512.png', 'ann_dir/train/area1_0_0_512_512.png'),
    'LEVIRCDDataset': ('levir_256x256', 'train/A/train_1_0_0_256_256.png', 'train/label/train_1_0_0_256_256.png'),
    'LoveDADataset': ('loveda', 'img_dir/train/0.png', 'ann_dir/train/0.png'),
    'MapillaryDataset_v1': ('mapillary_v1', 'training/images/aZ.jpg', 'training/v1.2/labels/aZ.png'),
    'MapillaryDataset_v2': ('mapillary_v2', 'training/images/aZ.jpg', 'training/v2.0/labels/aZ.png'),
    'NYUDataset': ('nyu', 'images/train/bathroom_0001_01.jpg', 'annotations/train/bathroom_0001_01.png'),
    'NightDrivingDataset': ('cityscapes_night-driving', 'leftImg8bit/test/night/0_leftImg8bit.png',
                            'gtCoarse_daytime_trainvaltest/test/night/0_gtCoarse_labelTrainIds.png'),
    'PascalContextDataset': ('pascal_context', 'JPEGImages/2008_000002.jpg', 'SegmentationClassContext/2008_000002.png',
                             'ImageSets/SegmentationContext/train.txt', '2008_000002'),
    'PascalContextDataset59': ('pascal_context_59', 'JPEGImages/2008_000002.jpg',
                               'SegmentationClassContext/2008_000002.png', 'ImageSets/SegmentationContext/train.txt',
                               '2008_000002'),
    'PascalVOCDataset': ('pascal_voc12', 'JPEGImages/2007_000032.jpg', 'SegmentationClass/2007_000032.png',
                         'ImageSets/Segmentation/train.txt', '2007_000032'),
    'PotsdamDataset': ('potsdam', 'img_dir/train/2_10_0_0_512_512.png', 'ann_dir/train/2_10_0_0_512_512.png'),
    'REFUGEDataset': ('refuge', 'images/training/g0001.png', 'annotations/training/g0001.png'),
    'STAREDataset': ('stare', 'images/training/im0001.png', 'annotations/training/im0001.ah.png'),
    'SynapseDataset': ('synapse', 'img_dir/train/case0005_slice000.jpg', 'ann_dir/train/case0005_slice000.png'),
    'iSAIDDataset': ('isaid', 'img_dir/train/P0000_0_896_0_896.png',
                     'ann_dir/train/P0000_0_896_0_896_instance_color_RGB.png'),
}
# Bases of others, wrappers, and those that a file of their own describes: tested in their own ways.
ELSEWHERE = {'BaseCDDataset', 'BaseSegDataset', 'DSDLSegDataset', 'DecathlonDataset', 'LIPDataset',
             'MultiImageMixDataset'}


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), array)


def sample(root, image, label):
    write(root / image, np.full((HEIGHT, WIDTH, 3), 100, np.uint8))
    write(root / label, LABELS)


def leaf(dataset):
    while 'dataset' in dataset or 'datasets' in dataset:
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    return dataset


def test_no_data_set_is_forgotten():
    assert set(FACTS) == set(LAYOUTS) - {'CamVidDataset'} | ELSEWHERE


@pytest.mark.parametrize('name', LAYOUTS)
def test_a_published_config_finds_and_reads_the_files(name, tmp_path):
    base, image, label, *split = LAYOUTS[name]
    cfg = Config.fromfile(CONFIGS / f'{base}.py')
    loaders = (cfg.get('train_dataloader'), cfg.get('test_dataloader'))
    dataset = next(found for found in (leaf(loader.dataset) for loader in loaders if loader) if found.type == name)
    sample(tmp_path, image, label)
    steps = list(STEPS)
    if name == 'LEVIRCDDataset':
        sample(tmp_path, image.replace('/A/', '/B/'), label)
        steps[0] = dict(type='LoadMultipleRSImageFromFile')
    if name == 'NYUDataset':
        steps[1] = dict(type='LoadDepthAnnotation')
    if split:
        (tmp_path / split[0]).parent.mkdir(parents=True)
        (tmp_path / split[0]).write_text(split[1] + '\n')
    with DefaultScope.overwrite_default_scope('mmseg'):
        found = DATASETS.build(dict(dataset, data_root=str(tmp_path), pipeline=steps))
    assert len(found) == 1
    results = found[0]
    assert results['img_path'] == str(tmp_path / image) and results['img'].shape == (HEIGHT, WIDTH, 3)
    if name == 'NYUDataset':
        assert results['gt_depth_map'].tolist() == LABELS.tolist()
        return
    assert results['seg_map_path'] == str(tmp_path / label)
    expected = np.where(LABELS == 0, 255, LABELS.astype(int) - 1) if found.reduce_zero_label else LABELS
    assert results['gt_seg_map'].tolist() == expected.tolist()
    assert found.reduce_zero_label == FACTS.get(name, {'defaults': {}})['defaults'].get('reduce_zero_label', False)


def test_lip(tmp_path):
    sample(tmp_path, 'train_images/1000_1234574.jpg', 'train_segmentations/1000_1234574.png')
    found = LIPDataset(data_root=str(tmp_path), pipeline=STEPS,
                       data_prefix=dict(img_path='train_images', seg_map_path='train_segmentations'))
    assert found[0]['gt_seg_map'].tolist() == LABELS.tolist() and len(found.metainfo['classes']) == 20


def hsi_drive(root, **kwargs):
    return HSIDrive20Dataset(data_root=str(root), ignore_index=0, pipeline=[
        dict(type='LoadImageFromNpyFile'), STEPS[1], dict(type='PackSegInputs')],
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'), **kwargs)


def test_hsi_drive_reads_arrays_of_25_bands(tmp_path):
    cube = np.random.default_rng(0).random((HEIGHT, WIDTH, 25), np.float32)
    sample(tmp_path, 'images/training/nf3112_102.png', 'annotations/training/nf3112_102.png')
    np.save(tmp_path / 'images/training/nf3112_102.npy', cube)
    found = hsi_drive(tmp_path)
    packed = found[0]
    np.testing.assert_array_equal(packed['inputs'].numpy(), cube.transpose(2, 0, 1))
    assert packed['data_samples'].gt_sem_seg.data[0].tolist() == LABELS.tolist()
    assert len(found.metainfo['classes']) == len(found.metainfo['palette']) == 11
    (tmp_path / 'images/training/nf3112_102.npy').write_bytes(b'nothing')
    with pytest.raises(InputError, match=r'nf3112_102\.npy: found .*expected an array of height x width x bands'):
        hsi_drive(tmp_path, test_mode=True)[0]


# ---------------------------------------------------------------------- several at once

@pytest.fixture
def parts(tmp_path):
    """Three folders of labels and two splits: the label of every pixel tells which folder it is from."""
    for number, folder in enumerate(('a', 'b', 'c')):
        for name in ('x', 'y'):
            write(tmp_path / f'img_{folder}' / f'{name}.jpg', np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8))
            write(tmp_path / f'ann_{folder}' / f'{name}.png', np.full((HEIGHT, WIDTH), number, np.uint8))
    (tmp_path / 'first.txt').write_text('x\n')
    (tmp_path / 'both.txt').write_text('y\nx\n')
    return dict(type='BaseSegDataset', data_root=str(tmp_path), metainfo=dict(classes=('a', 'b', 'c')), pipeline=STEPS)


def read(data_set):
    """Name and label of each sample."""
    return [(Path(results['img_path']).stem, int(results['gt_seg_map'][0, 0]))
            for results in (data_set[index] for index in range(len(data_set)))]


@pytest.mark.parametrize(('arguments', 'expected'), [
    (dict(data_prefix=dict(img_path='img_a', seg_map_path=['ann_a', 'ann_b'])), 'x0 y0 x1 y1'),
    (dict(data_prefix=dict(img_path=['img_a', 'img_c'], seg_map_path=['ann_a', 'ann_c'])), 'x0 y0 x2 y2'),
    (dict(ann_file=['first.txt', 'both.txt'], data_prefix=dict(img_path='img_b', seg_map_path='ann_b')), 'x1 y1 x1'),
    (dict(ann_file=['first.txt', 'both.txt'], data_prefix=dict(img_path='img_a', seg_map_path=['ann_a', 'ann_c'])),
     'x0 y2 x2')])
def test_several_folders_and_splits(parts, arguments, expected):
    found = BaseSegDataset(**{**{key: value for key, value in parts.items() if key != 'type'}, **arguments})
    assert read(found) == [(word[0], int(word[1])) for word in expected.split()]


def test_data_sets_of_several_data_sets_load(parts):
    def part(letter, **kwargs):
        return dict(parts, data_prefix=dict(img_path=f'img_{letter}', seg_map_path=f'ann_{letter}'), **kwargs)

    with DefaultScope.overwrite_default_scope('mmseg'):
        concat = DATASETS.build(dict(type='ConcatDataset', datasets=[part('a'), part('c', ann_file='first.txt')]))
        repeat = DATASETS.build(dict(type='RepeatDataset', times=2, dataset=dict(
            type='ConcatDataset', datasets=[part('b', indices=1), part('c', indices=1)])))
    assert read(concat) == [('x', 0), ('y', 0), ('x', 2)]
    assert read(repeat) == [('x', 1), ('x', 2), ('x', 1), ('x', 2)]
    mosaic = MultiImageMixDataset(repeat, [dict(type='RandomMosaic', prob=1., img_scale=(HEIGHT, WIDTH))])
    results = [mosaic[index] for index in range(4)]
    assert all(result['img'].shape == (2 * HEIGHT, 2 * WIDTH, 3) for result in results)
    for result in results:  # labels went where their pixels went
        inside = result['gt_seg_map'] != 255
        np.testing.assert_allclose(result['img'][inside][:, 0], 10. * result['gt_seg_map'][inside], atol=2)
    assert {label for result in results for label in np.unique(result['gt_seg_map'])} == {1, 2, 255}
