"""`mmseg doctor`: what it finds in a data set with everything wrong, and nothing in one that is whole."""
import json
import os
import re

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmseg.datasets.doctor import diagnosis, parallel, reading, report, weights
from mmseg.datasets.doctor.configured import crop_and_resize, open_splits
from mmseg.datasets.doctor.summary import BandStatistics
from mmseg.registry import TRANSFORMS

HEIGHT, WIDTH = 20, 30
CLASSES = ('ground', 'box', 'rare')
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
            dict(type='RandomResize', scale=(30, 20), ratio_range=(0.5, 2.0), keep_ratio=True),
            dict(type='RandomCrop', crop_size=(20, 30)), dict(type='PackSegInputs')]


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def labels():
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[:5] = 1
    label[5, :3] = 2
    label[-2:] = 255
    return label


def write(root, part, name, seed, label=None):
    for kind, array in (('images', picture(seed)), ('labels', labels() if label is None else label)):
        path = root / kind / part / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), array)


def config(root, parts=('train', 'val'), **dataset):
    def loader(part):
        return dict(dataset=dict(
            type='BaseSegDataset', data_root=str(root), img_suffix='.png', metainfo=dict(classes=CLASSES),
            data_prefix=dict(img_path=f'images/{part}', seg_map_path=f'labels/{part}'), pipeline=PIPELINE, **dataset))
    return Config({**{f'{part}_dataloader': loader(part) for part in parts}, 'model': dict(
        data_preprocessor=dict(mean=[1., 2., 3.], std=[1., 1., 1.], bgr_to_rgb=True), decode_head=dict(num_classes=3))})


def look(cfg, workers=0, **kwargs):
    found = diagnosis.diagnose(cfg, workers, ('train', 'val', 'test'), **kwargs)
    return found, {(remark.split, remark.kind): remark for remark in found.remarks}


@pytest.fixture
def whole(tmp_path):
    for index in range(6):
        write(tmp_path, 'train' if index < 4 else 'val', f'{index}', index)
    return tmp_path


def test_nothing_is_found_in_a_whole_data_set(whole):
    found, remarks = look(config(whole))
    assert (found.problems, remarks) == (0, {})
    train, val = found.summaries
    assert (train.name, train.images, val.images) == ('train', 4, 2)
    pixels = np.bincount(labels().ravel(), minlength=256)
    assert train.pixels.tolist() == (4 * pixels[:3]).tolist()
    assert train.images_with.tolist() == [4, 4, 4] and train.values == {0: 4 * pixels[0], 1: 4 * pixels[1],
                                                                        2: 12, 255: 4 * pixels[255]}
    assert train.ignored_share == pytest.approx(0.1)


def test_mean_and_deviation_are_those_of_all_pixels(whole):
    found, _ = look(config(whole))
    everything = np.concatenate([picture(index).reshape(-1, 3) for index in range(4)])[:, ::-1]
    np.testing.assert_allclose(found.normalisation['mean'], everything.mean(0), atol=1e-3)
    np.testing.assert_allclose(found.normalisation['std'], everything.std(0), atol=1e-3)
    assert found.normalisation['bgr_to_rgb'] and found.normalisation['configured_mean'] == [1., 2., 3.]


def test_sizes_beside_the_crop(whole):
    found, _ = look(config(whole))
    assert found.crop == dict(crop=[20, 30], smaller_images=0, resize='RandomResize', most_padding=0.75,
                              of_size=[20, 30], padding_at_largest=0.0)
    assert crop_and_resize(Config(dict(model=dict(data_preprocessor=dict(size=(8, 9)))))) == ((8, 9), None)


def test_a_crop_larger_than_the_images_is_told(whole):
    cfg = config(whole)
    cfg.train_dataloader.dataset.pipeline = [*PIPELINE[:2], dict(type='RandomCrop', crop_size=31)]
    found, remarks = look(cfg)
    assert remarks['train', 'images smaller than the crop'].count == 4 and found.problems == 0
    assert found.crop == dict(crop=[31, 31], smaller_images=4)


def harm_everything(root):
    """Give the training images one fault each."""
    train = root / 'labels/train'
    for index in range(10, 21):
        write(root, 'train', f'{index}', index)
    (root / 'images/train/10.png').write_bytes(b'')
    content = (root / 'images/train/11.png').read_bytes()
    (root / 'images/train/11.png').write_bytes(content[:len(content) // 2])
    (train / '12.png').unlink()
    (train / '13.png').write_bytes(b'no picture')
    cv2.imwrite(str(train / '14.png'), picture(0))
    Image.fromarray(labels()).save(train / '15.png', 'JPEG')
    cv2.imwrite(str(train / '16.png'), labels()[:, :-1])
    cv2.imwrite(str(train / '17.png'), np.where(labels() == 2, 77, labels()))
    cv2.imwrite(str(train / '18.png'), np.full((HEIGHT, WIDTH), 255, np.uint8))
    write(root, 'train', '19', 4)  # the pixels of val/4
    write(root, 'train', '20', 0)


EXPECTED = {
    'unreadable image': (2, ['10.png: found an empty file', '11.png: found a truncated PNG']),
    'missing label': (1, ['labels/train/12.png: no label for']),
    'unreadable label': (1, ['labels/train/13.png: found bytes that begin with']),
    'RGB mask': (1, ['labels/train/14.png: found a picture of']),
    'JPEG mask': (1, ['labels/train/15.png: JPEG changes']),
    'size mismatch': (1, ['labels/train/16.png: 20 x 29 for an image of 20 x 30']),
    'nothing labelled': (1, ['labels/train/18.png: every pixel is ignored']),
    'copies within a split': (1, ['images/train/20.png: the same pixels as']),
}


@pytest.mark.parametrize('workers', [0, 2])
def test_every_fault_is_told_with_its_file(whole, workers):
    harm_everything(whole)
    found, remarks = look(config(whole), workers)
    for kind, (count, sentences) in EXPECTED.items():
        remark = remarks['train', kind]
        assert remark.count == count and remark.advice
        assert all(words in sentence for words, sentence in zip(sentences, remark.files, strict=True)), remark.files
    outside = remarks['train', 'values outside the classes']
    assert f'{whole}/labels/train/17.png: 77 (3 pixels)' in outside.files
    assert remarks['val', 'copies between splits'].files == [
        f'{whole}/images/val/4.png: the same pixels as {whole}/images/train/19.png of train']
    assert {remark.kind for remark in found.remarks if remark.severity == 'note'} == {
        'nothing labelled', 'copies within a split'}


@pytest.mark.parametrize('seed', range(12))
def test_no_damage_stops_it(whole, seed):
    """Bytes of images and labels are overwritten, cut off or doubled: each file is read or told, and all count."""
    rng = np.random.default_rng(seed)
    for folder in ('images', 'labels'):
        for name in '0123':
            path = whole / folder / 'train' / f'{name}.png'
            array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            content = bytearray(cv2.imencode(rng.choice(['.png', '.jpg', '.tif', '.bmp']), array)[1].tobytes())
            for place in rng.integers(0, len(content), rng.integers(0, 5)):
                content[place] = rng.integers(256)
            path.write_bytes(bytes(content[:rng.integers(len(content) // 2, 2 * len(content))]))
    os.remove(whole / 'labels/train/0.png')
    (whole / 'labels/train/0.png').mkdir()
    found, remarks = look(config(whole))
    assert found.summaries[0].images == 4 and remarks['train', 'unreadable label'].count >= 1
    assert report.as_text(found, 'my.py', 1.0)


def test_names_are_kept_up_to_a_number(whole):
    for index in range(4):
        (whole / f'labels/train/{index}.png').unlink()
    _, remarks = look(config(whole), most=2)
    assert remarks['train', 'missing label'].count == 4 and len(remarks['train', 'missing label'].files) == 2


def test_a_limit_takes_samples_from_everywhere(whole):
    found, _ = look(config(whole), limit=2)
    assert [summary.images for summary in found.summaries] == [2, 2]
    assert list(parallel.chosen(10, 3)) == [0, 3, 6] and list(parallel.chosen(3, 10)) == [0, 1, 2]


def test_a_split_that_cannot_be_listed_does_not_hide_the_others(whole):
    cfg = config(whole)
    cfg.val_dataloader.dataset.data_prefix.img_path = 'images/elsewhere'
    found, remarks = look(cfg)
    assert 'elsewhere' in remarks['val', 'unreadable list'].files[0]
    assert [summary.images for summary in found.summaries] == [4, 0]
    cfg.val_dataloader.dataset.type = 'NoSuchDataset'
    assert "'NoSuchDataset' is not a known data set" in look(cfg)[1]['val', 'unreadable list'].files[0]


def test_split_files_may_name_images_that_are_not_there(whole):
    (whole / 'list.txt').write_text('0\nlost\n')
    _, remarks = look(config(whole, ('train',), ann_file='list.txt'))
    assert 'images/train/lost.png' in remarks['train', 'missing image'].files[0]


def test_dataloaders_that_read_the_same_are_one_split(whole):
    cfg = config(whole)
    cfg.test_dataloader = cfg.val_dataloader
    assert [split.name for split in open_splits(cfg)] == ['train', 'val = test']
    inner = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[
        dict(type='RepeatDataset', times=3, dataset=inner), cfg.val_dataloader.dataset])
    assert [len(split) for split in open_splits(cfg)] == [6, 2]


@pytest.mark.parametrize(('values', 'classes', 'reduced', 'words'), [
    ({0, 1, 2, 3}, 3, False, 'up to 3, one more than the 3 classes .* 0 seems to mean unlabelled'),
    ({1, 2, 3, 255}, 3, False, 'and none is 0: set reduce_zero_label=True'),
    ({0, 1, 2, 255}, 3, False, '^$'),
    ({0, 1, 2}, 3, True, 'just the 3 classes: set reduce_zero_label=False'),
    ({0, 1, 2, 3}, 3, True, '^$'),
    ({0, 1}, 3, True, '^$'),
    (set(), 3, True, '^$'),
])
def test_doubt_about_reduce_zero_label(values, classes, reduced, words):
    found = diagnosis.doubt_about_zero(values, classes, 255, reduced)
    assert re.search(words, found)


def test_a_wrong_reduce_zero_label_is_told(whole):
    _, remarks = look(config(whole, reduce_zero_label=True))
    assert 'set reduce_zero_label=False' in remarks['train', 'reduce_zero_label seems wrong'].advice
    assert remarks['train', 'classes without a pixel'].files == ['rare']


def test_white_that_is_ignored_is_told(whole):
    for index in range(4):
        write(whole, 'train', f'{index}', index, np.where(labels() == 1, 255, 0).astype(np.uint8))
    cfg = config(whole, ('train',))
    cfg.train_dataloader.dataset.metainfo = dict(classes=('rest', 'box'))
    assert 'mask_colors=True' in look(cfg)[1]['train', 'the second class seems to be ignored'].advice


def test_model_and_data_disagree(whole):
    cfg = config(whole)
    cfg.model.decode_head.num_classes = 19
    cfg.model.data_preprocessor.mean = [1., 2.]
    cfg.val_dataloader.dataset.metainfo = dict(classes=('box', 'ground', 'rare'))
    _, remarks = look(cfg)
    assert remarks['config', 'number of classes'].files == ['model.decode_head.num_classes is 19']
    assert 'have 3 bands, but model.data_preprocessor.mean 2 numbers' in remarks['train', 'number of bands'].advice
    assert remarks['val', 'other classes'].files == ['box, ground, rare']


@TRANSFORMS.register_module()
class LoadOrDie:
    """Loads images, but one takes its process along."""

    def __call__(self, results):
        if results['img_path'].endswith('2.png'):
            os._exit(3)
        return {**results, 'img': picture(0), 'ori_shape': (HEIGHT, WIDTH)}


def test_a_file_that_kills_its_reader_is_told(whole):
    cfg = config(whole)
    cfg.train_dataloader.dataset.pipeline = [dict(type='LoadOrDie')]
    found, remarks = look(cfg, workers=1)
    assert remarks['train', 'unreadable image'].files == [
        f'{whole}/images/train/2.png: it, or its label {whole}/labels/train/2.png, kills the process that reads it']
    assert [summary.images for summary in found.summaries] == [4, 2]


@pytest.mark.parametrize(('dtype', 'bands'), [(np.uint8, 1), (np.uint16, 3), (np.float32, 4), (np.int16, 2),
                                              (np.float64, 7)])
def test_levels_of_any_bands_and_type(dtype, bands):
    images = [np.random.default_rng(seed).integers(0, 200, (5 + seed, 6, bands)).astype(dtype) for seed in range(3)]
    statistics = BandStatistics()
    for image in images:
        assert statistics.add(reading.describe_bands(image))
    pixels = np.concatenate([image.reshape(-1, bands) for image in images]).astype(float)
    np.testing.assert_allclose(statistics.mean, pixels.mean(0), rtol=1e-6)
    np.testing.assert_allclose(statistics.std, pixels.std(0), rtol=1e-6)
    assert (statistics.lowest, statistics.highest) == (pixels.min(), pixels.max())
    assert not statistics.add(reading.describe_bands(np.zeros((2, 2, bands + 1))))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32])
def test_values_are_counted(dtype):
    label = np.random.default_rng(0).integers(0, 200, (30, 40)).astype(dtype)
    label[0, 0] = min(np.iinfo(dtype).max, 2**30)
    expected = np.unique(label, return_counts=True)
    for ours, theirs in zip(reading.count_values(label), expected):
        assert ours.tolist() == theirs.tolist()


def test_median_frequency_balancing():
    # class 0: 90 of 200 pixels; class 1: 30 of the 100 around it; class 2 does not occur
    found = weights.median_frequency_balancing(np.array([90, 30, 0]), np.array([200, 100, 0]))
    np.testing.assert_allclose(found, [0.375 / 0.45, 0.375 / 0.3, 1])


def test_weights_of_enet():
    found = weights.enet(np.array([75, 25, 0]))
    np.testing.assert_allclose(found, [1 / np.log(1.77), 1 / np.log(1.27), 1])


def test_the_report_in_words_and_as_data(whole):
    harm_everything(whole)
    found, _ = look(config(whole))
    text = report.as_text(found, 'my.py', 2.0)
    for words in ('my.py: 17 images in 2.0 s', 'train: 15 images, ', 'all 20x30',
                  "loss_decode=dict(type='CrossEntropyLoss', class_weight=[",
                  'crop 20x30: 0 training images are smaller', 'PROBLEM train: RGB mask (1): give each colour',
                  'up to 75% of it is padding', 'kinds of problems found'):
        assert words in text
    data = json.loads(json.dumps(report.as_data(found, 'my.py', 2.0)))
    assert data['images'] == 17 and data['splits']['train']['classes'][1]['name'] == 'box'
    assert len(data['class_weight']['enet']) == len(data['class_weight']['median_frequency_balancing']) == 3
    remark = next(remark for remark in data['remarks'] if remark['kind'] == 'missing label')
    assert (remark['severity'], remark['split'], remark['count']) == ('problem', 'train', 1)
    assert 'no problems found' in report.as_text(look(config(whole, ('val',)))[0], 'my.py', 1.0)
