"""Retinal and aerial images, from archives in the layout of their owners to what the published configs load."""
import gzip
import io

import numpy as np
import pytest
from PIL import Image

from mmseg.datasets.isaid import iSAIDDataset
from mmseg.datasets.isprs import ISPRSDataset
from tests.datasets.converters.published import (
    encode,
    label_of,
    labels,
    paint,
    picture,
    read,
    samples,
    tarred,
    written,
    zipped,
)

# ------------------------------------------------------------------------------------------------------ retinal images

def vessels(kind='png', seed=0):
    drawing = labels(seed=seed) * 255
    drawing[0, :2] = 100, 140  # borders may be grey
    return encode(drawing, kind), (drawing >= 128).astype(np.uint8)


def test_chase_db1(tmp_path, convert):
    names = [f'Image_{number:02d}{side}' for number in range(1, 15) for side in 'LR']
    files = {f'{name}.jpg': encode(picture(seed=index), 'jpg') for index, name in enumerate(names)}
    files.update({f'{name}_{observer}HO.png': vessels(seed=index)[0] for index, name in enumerate(names)
                  for observer in ('1st', '2nd')})
    path = zipped(tmp_path / 'CHASEDB1.zip', files)
    status, out, _ = convert('chase_db1', path)
    assert status == 0 and 'NOT' not in out and '  images/training *.png: 20 of 20 files' in out
    data = samples('chase_db1', 'data/CHASE_DB1')
    assert [info['img_path'].rsplit('/')[-1] for info in map(data.get_data_info, range(8))] == [
        f'{name}.png' for name in names[20:]]
    np.testing.assert_array_equal(label_of(data), vessels(seed=20)[1])
    jpeg = np.array(Image.open(io.BytesIO(files['Image_01L.jpg'])))
    np.testing.assert_array_equal(read('data/CHASE_DB1/images/training/Image_01L.png'), jpeg)


def test_drive(tmp_path, convert):
    def files(split, numbers, observers):
        yield from ((f'{split}/images/{n:02d}_{split}.tif', encode(picture(seed=n), 'tif')) for n in numbers)
        yield from ((f'{split}/mask/{n:02d}_{split}_mask.gif', vessels('gif')[0]) for n in numbers)
        for o in observers:
            yield from ((f'{split}/{o}_manual/{n:02d}_manual{o[0]}.gif', vessels('gif', n)[0]) for n in numbers)
    training = zipped(tmp_path / 'training.zip', dict(files('training', range(21, 41), ['1st'])))
    test = zipped(tmp_path / 'test.zip', dict(files('test', range(1, 21), ['1st', '2nd'])))
    status, out, _ = convert('drive', training, test)
    assert status == 0 and 'NOT' not in out
    assert '  annotations/validation *_manual2.png: 20 of 20 files' in out
    data = samples('drive', 'data/DRIVE')
    assert len(data) == 20
    np.testing.assert_array_equal(label_of(data, 4), vessels(seed=5)[1])
    np.testing.assert_array_equal(read('data/DRIVE/images/training/21.png'), picture(seed=21))
    bare = zipped(tmp_path / 'bare' / 'test.zip', dict(files('test', range(1, 21), [])))
    status, _, err = convert('drive', training, bare, '-o', 'bare/DRIVE')
    assert status == 2 and 'found nothing for annotations/validation (*_manual1.png)' in err


def test_hrf(tmp_path, convert):
    archives = []
    for kind, short in (('healthy', 'h'), ('glaucoma', 'g'), ('diabetic_retinopathy', 'dr')):
        archives += [
            zipped(tmp_path / f'{kind}.zip', {f'{n:02d}_{short}.{"JPG" if short == "dr" else "jpg"}':
                                              encode(picture(seed=n), 'jpg') for n in range(1, 16)}),
            zipped(tmp_path / f'{kind}_manualsegm.zip',
                   {f'{n:02d}_{short}.tif': vessels('tif', n)[0] for n in range(1, 16)})]
    status, out, _ = convert('hrf', *archives)
    assert status == 0 and 'NOT' not in out and '  images/validation *.png: 30 of 30 files' in out
    data = samples('hrf', 'data/HRF')
    assert len(data) == 30 and data.get_data_info(0)['img_path'].endswith('validation/06_dr.png')
    np.testing.assert_array_equal(label_of(data), vessels(seed=6)[1])


STARE = (1, 2, 3, 4, 5, 44, 77, 81, 82, 139, 162, 163, 235, 236, 239, 240, 255, 291, 319, 324)


def test_stare(tmp_path, convert):
    archives = []
    for name, end, make in (('stare-images', '', lambda n: encode(picture(seed=n), 'ppm')),
                            ('labels-ah', '.ah', lambda n: vessels('ppm', n)[0]),
                            ('labels-vk', '.vk', lambda n: vessels('ppm', n + 1)[0])):
        archives.append(tarred(tmp_path / f'{name}.tar',
                               {f'./im{n:04d}{end}.ppm.gz': gzip.compress(make(n)) for n in STARE}))
    status, out, _ = convert('stare', *archives)
    assert status == 0 and 'NOT' not in out
    data = samples('stare', 'data/STARE')
    assert len(data) == 10 and data.get_data_info(0)['img_path'].endswith('im0162.png')
    np.testing.assert_array_equal(label_of(data), vessels(seed=162)[1])
    np.testing.assert_array_equal(read('data/STARE/images/training/im0139.png'), picture(seed=139))
    np.testing.assert_array_equal(read('data/STARE/annotations/training/im0001.vk.png'), vessels(seed=2)[1])


# ------------------------------------------------------------------------------------------------------- aerial images

def isprs_label(height, width, seed=0):
    """Ids from 0, which is the border between classes, and the picture that the owners publish."""
    label = labels(height, width, 7, seed)
    return label, paint(label, [(0, 0, 0), *ISPRSDataset.METAINFO['palette']])


@pytest.fixture
def potsdam(tmp_path):
    tiles = ('2_10', '7_12', '2_13', '6_15')
    images = {f'2_Ortho_RGB/top_potsdam_{tile}_RGB.{end}': encode(picture(20, 20, index), 'tif')
              for index, tile in enumerate(tiles) for end in ('tif', 'tfw')}
    marks = {f'top_potsdam_{tile}_label_noBoundary.tif': encode(isprs_label(20, 20, index)[1], 'tif')
             for index, tile in enumerate(tiles)}
    zipped(tmp_path / 'in' / '2_Ortho_RGB.zip', images)
    zipped(tmp_path / 'in' / '5_Labels_all_noBoundary.zip', marks)
    (tmp_path / 'in' / '3_Ortho_IRRG.zip').write_bytes(b'not read at all')
    return tmp_path / 'in'


def test_potsdam(potsdam, convert):
    status, out, _ = convert('potsdam', potsdam, '--clip_size', 8, '--stride_size', 4)
    assert status == 0 and '  img_dir/train *.png: 18 files, 3,438 fewer than the published 3,456' in out
    assert [name for name in written('data/potsdam/ann_dir/val') if name.startswith('2_13')] == [
        f'2_13_{x}_{y}_{x + 8}_{y + 8}.png' for x in (0, 12, 8) for y in (0, 12, 8)]
    np.testing.assert_array_equal(read('data/potsdam/ann_dir/val/2_13_8_12_16_20.png'),
                                  isprs_label(20, 20, 2)[0][12:20, 8:16])
    np.testing.assert_array_equal(read('data/potsdam/img_dir/val/2_13_8_12_16_20.png'), picture(20, 20, 2)[12:20, 8:16])
    data = samples('potsdam', 'data/potsdam')
    assert len(data) == 18 and data[0]['data_samples'].gt_sem_seg.data.unique().tolist() == [0, 1, 2, 3, 4, 5, 255]


def test_potsdam_with_overlap_and_a_tile_at_once(potsdam, convert):
    assert convert('potsdam', potsdam, '--clip_size', 12, '--step', 4)[0] == 0
    assert [name for name in written('data/potsdam/img_dir/train') if name.startswith('2_10_0')] == [
        f'2_10_0_{y}_12_{y + 12}.png' for y in (0, 4, 8)]
    assert convert('potsdam', potsdam, '-o', 'whole')[0] == 0
    assert written('whole/img_dir/train') == ['2_10_0_0_20_20.png', '7_12_0_0_20_20.png']
    assert convert('potsdam', potsdam, '--clip_size', 0)[2].endswith('expected numbers from 1\n')


def test_potsdam_in_the_archive_of_all(potsdam, convert):
    zipped(potsdam / 'Potsdam.zip', {f'Potsdam/{path.name}': path.read_bytes() for path in potsdam.glob('*.zip')})
    for path in potsdam.glob('?_*.zip'):
        path.unlink()
    status, out, _ = convert('potsdam', potsdam / 'Potsdam.zip')
    assert status == 0 and '8 files written' in out
    tiles = ['train/2_10', 'train/7_12', 'val/2_13', 'val/6_15']
    assert written('data/potsdam') == [f'{folder}/{tile}_0_0_20_20.png' for folder in ('ann_dir', 'img_dir')
                                       for tile in tiles]


def test_labels_of_other_colours_are_refused(potsdam, convert):
    odd = isprs_label(20, 20)[1]
    odd[:3, 0] = 250, 250, 0  # less than one in a hundred is taken for a border
    zipped(potsdam / '5_Labels_all_noBoundary.zip', {'top_potsdam_2_10_label_noBoundary.tif': encode(odd, 'tif')})
    assert convert('potsdam', potsdam, '--partial')[0] == 0
    assert (read('data/potsdam/ann_dir/train/2_10_0_0_20_20.png')[:3, 0] == 0).all()
    odd[0] = 250, 250, 0
    zipped(potsdam / '5_Labels_all_noBoundary.zip', {'top_potsdam_2_10_label_noBoundary.tif': encode(odd, 'tif')})
    _, _, err = convert('potsdam', potsdam, '--partial', '-o', 'again')
    assert '_noBoundary.tif: 5.5% of the pixels have colours that stand for no class, such as (250, 250, 0)' in err


def test_vaihingen(tmp_path, convert):
    areas = {'area1': 0, 'area37': 1, 'area2': 2, 'area38': 3}
    images = {f'top/top_mosaic_09cm_{area}.tif': encode(picture(12, 20, seed), 'tif')
              for area, seed in areas.items()}
    images['gts_for_participants/top_mosaic_09cm_area1.tif'] = encode(isprs_label(12, 20)[1], 'tif')
    marks = {f'top_mosaic_09cm_{area}_noBoundary.tif': encode(isprs_label(12, 20, seed)[1], 'tif')
             for area, seed in areas.items()}
    zipped(tmp_path / 'in' / 'ISPRS_semantic_labeling_Vaihingen.zip', images)
    zipped(tmp_path / 'in' / 'ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip', marks)
    status, out, _ = convert('vaihingen', tmp_path / 'in', '--clip_size', 12)
    assert status == 0 and '\n16 files written' in out
    assert written('data/vaihingen/img_dir/val') == [
        f'area{area}_{x}_0_{x + 12}_12.png' for area in (2, 38) for x in (0, 8)]
    data = samples('vaihingen', 'data/vaihingen')
    np.testing.assert_array_equal(label_of(data, 1), isprs_label(12, 20, 2)[0][:, 8:])
    np.testing.assert_array_equal(read('data/vaihingen/img_dir/train/area1_0_0_12_12.png'), picture(12, 20)[:, :12])


def test_loveda(tmp_path, convert):
    for split in ('Train', 'Val', 'Test'):
        kinds = {'images': picture, 'masks': lambda seed: labels(classes=8, seed=seed)}
        zipped(tmp_path / 'in' / f'{split}.zip', {
            f'{split}/{place}/{kind}_png/{number}.png': encode(make(seed=number))
            for number, place in enumerate(('Rural', 'Urban')) for kind, make in kinds.items()
            if (split, kind) != ('Test', 'masks')})
    status, out, _ = convert('loveda', tmp_path / 'in')
    assert status == 0 and '  img_dir/test *.png: 2 files, 1,794 fewer than the published 1,796' in out
    data = samples('loveda', 'data/loveDA')
    np.testing.assert_array_equal(label_of(data, 1), labels(classes=8, seed=1))
    assert data[0]['data_samples'].gt_sem_seg.data.max() == 255


def test_isaid(tmp_path, convert):
    palette = iSAIDDataset.METAINFO['palette']
    truth = {}
    for split, names in (('train', ('P0000', 'P0001')), ('val', ('P0003',)), ('test', ('P0006',))):
        sizes = {name: (10, 22) if name == 'P0001' else (30, 22) for name in names}
        truth.update({name: labels(*size, classes=16) for name, size in sizes.items()})
        zipped(tmp_path / 'iSAID' / split / 'images' / 'part1.zip', {
            f'images/{name}.png': encode(picture(*size)) for name, size in sizes.items()})
        if split != 'test':
            masks = {f'images/{name}_instance_color_RGB.png': encode(paint(truth[name], palette)) for name in names}
            zipped(tmp_path / 'iSAID' / split / 'Semantic_masks' / 'images.zip', masks)
            zipped(tmp_path / 'iSAID' / split / 'Instance_masks' / 'images.zip', {
                name.replace('color', 'id'): content for name, content in masks.items()})
    argv = ['isaid', tmp_path / 'iSAID', '--patch_width', 16, '--patch_height', 16, '--overlap_area', 4]
    status, out, _ = convert(*argv)
    assert status == 0 and '  img_dir/test *.png: 6 files' in out and 'ann_dir/test' not in out
    places = [f'{y}_{y + 16}_{x}_{x + 16}' for y in (0, 12, 14) for x in (0, 6)]
    assert written('data/iSAID/ann_dir/val') == [f'P0003_{place}_instance_color_RGB.png' for place in places]
    assert written('data/iSAID/img_dir/train') == [
        *(f'P0000_{place}.png' for place in places), 'P0001_0_16_0_16.png', 'P0001_0_16_6_22.png']
    np.testing.assert_array_equal(read('data/iSAID/ann_dir/val/P0003_12_28_6_22_instance_color_RGB.png'),
                                  truth['P0003'][12:28, 6:22])
    small = read('data/iSAID/ann_dir/train/P0001_0_16_6_22_instance_color_RGB.png')
    np.testing.assert_array_equal(small[:10], truth['P0001'][:, 6:22])
    assert (small[10:] == 255).all() and (read('data/iSAID/img_dir/train/P0001_0_16_6_22.png')[10:] == 0).all()
    assert samples('isaid', 'data/iSAID')[0]['data_samples'].gt_sem_seg.data.max() == 15
    assert 'expected 0 to 15: less than the patch' in convert(*argv[:-1], 16)[2]


def test_levircd(tmp_path, convert):
    for split in ('train', 'val', 'test'):
        zipped(tmp_path / 'in' / f'{split}.zip', {
            f'{split}/{folder}/{split}_{number}.png': encode(make(16, 16, seed=number))
            for number in (1, 2) for folder, make in (
                ('A', picture), ('B', picture), ('label', lambda *size, seed: labels(*size, seed=seed) * 255))})
    status, out, _ = convert('levircd', '--dataset_path', tmp_path / 'in', '--clip_size', 8)
    assert status == 0 and '  train/label *.png: 8 files, 7,112 fewer than the published 7,120' in out
    assert written('data/LEVIRCD/test/B')[:4] == [f'test_1_{x}_{y}_{x + 8}_{y + 8}.png' for x in (0, 8) for y in (0, 8)]
    data = samples('levir_256x256', 'data/LEVIRCD')
    np.testing.assert_array_equal(label_of(data, 2), labels(16, 16, seed=1)[:8, 8:])
    assert data[0]['inputs'].shape == (6, 8, 8)
