"""What every conversion does: checks first, writes whole files once, goes on after a break, counts at the end."""
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from mmseg.datasets.converters import CONVERTERS
from mmseg.datasets.converters import run as running
from mmseg.datasets.converters.tasks import is_whole, starts
from tests.datasets.converters.published import encode, labels, loose, picture, read, written, zipped

TRAIN = {f'Train/{place}/{kind}_png/{number}.png': encode(make(seed=number))
         for place, number in (('Rural', 0), ('Rural', 1), ('Urban', 1366))
         for kind, make in (('images', picture), ('masks', labels))}
VAL = {name.replace('Train', 'Val'): content for name, content in TRAIN.items()}


@pytest.fixture
def loveda(tmp_path):
    zipped(tmp_path / 'in' / 'Train.zip', TRAIN)
    zipped(tmp_path / 'in' / 'Val.zip', VAL)
    return tmp_path / 'in'


def test_every_converter_has_a_script_and_help_with_an_example(capsys):
    from mmseg.cli import main
    for name in CONVERTERS:
        with pytest.raises(SystemExit) as end:
            main(['convert-dataset', name, '--help'])
        assert end.value.code == 0
        printed = capsys.readouterr().out
        assert f'    mmseg convert-dataset {name} ' in printed and '--nproc' in printed


def test_it_counts_what_is_there_beside_what_was_published(loveda, convert):
    status, out, err = convert('loveda', loveda)
    assert status == 0
    assert out.splitlines() == [
        'data/loveDA: 12 files to convert', '12 files written',
        '  img_dir/train *.png: 3 files, 2,519 fewer than the published 2,522',
        '  ann_dir/train *.png: 3 files, 2,519 fewer than the published 2,522',
        '  img_dir/val *.png: 3 files, 1,666 fewer than the published 1,669',
        '  ann_dir/val *.png: 3 files, 1,666 fewer than the published 1,669',
        '  NOT as published: the archives are not complete, or the folder holds files of an earlier run with other '
        'options']
    assert err.splitlines()[-1] == '100 % converted' and '50 % converted' in err


def test_nothing_is_done_twice(loveda, convert):
    convert('loveda', loveda)
    files = [f'data/loveDA/{name}' for name in written('data/loveDA')]
    assert len(files) == 12
    before = [os.stat(name).st_mtime_ns for name in files]
    os.truncate(files[3], os.path.getsize(files[3]) - 5)  # one is cut off, one is missing
    os.remove(files[7])
    status, out, _ = convert('loveda', loveda)
    assert status == 0 and out.startswith('data/loveDA: 2 files to convert, 10 are done already\n2 files written\n')
    after = [os.stat(name).st_mtime_ns for name in files]
    assert [number for number, (old, new) in enumerate(zip(before, after)) if old != new] == [3, 7]
    np.testing.assert_array_equal(read('data/loveDA/img_dir/val/1366.png'), picture(seed=1366))
    assert convert('loveda', loveda)[1].startswith('data/loveDA: 0 files to convert, 12 are done already\n0 files')


def test_a_killed_run_leaves_nothing_behind_after_the_next(loveda, convert):
    loose(loveda.parent, {'data/loveDA/img_dir/train/.0.png.writing': b'half', 'data/.unpacked-loveda/x.tar': b'half'})
    shutil.rmtree('data/loveDA/img_dir/val', ignore_errors=True)
    assert convert('loveda', loveda, '--tmp-dir', 'data')[0] == 0
    assert not [name for name in written('data') if '/.' in f'/{name}']


def test_processes_write_the_same(loveda, convert):
    assert convert('loveda', loveda, '-o', 'one')[0] == 0
    status, out, _ = convert('loveda', loveda, '-o', 'two', processes=2)
    assert status == 0 and '12 files written' in out
    assert written('one') == written('two')
    assert all(Path('one', name).read_bytes() == Path('two', name).read_bytes() for name in written('one'))


def test_an_error_in_a_process_is_one_sentence(tmp_path, convert):
    for split, files in (('Train', TRAIN), ('Val', VAL)):
        path = zipped(tmp_path / 'in' / f'{split}.zip', files)
    content = bytearray(path.read_bytes())
    content[content.index(b'Val/Rural/masks_png/1.png') + 60] ^= 255
    path.write_bytes(content)
    status, _, err = convert('loveda', path.parent, processes=2)
    assert status == 2
    assert err.splitlines()[-1].startswith(f'mmseg convert-dataset: {path}/Val/Rural/masks_png/1.png is damaged (')
    assert err.splitlines()[-1].endswith('): fetch Val.zip again')
    assert not [name for name in written('data') if 'writing' in name]


def test_a_missing_archive(loveda, convert):
    (loveda / 'Val.zip').unlink()
    status, out, err = convert('loveda', loveda)
    assert status == 2 and out == ''
    assert err == ('mmseg convert-dataset: found nothing for img_dir/val (*.png), ann_dir/val (*.png) of data/loveDA '
                   'among what was given; expected Val.zip. The converter takes a folder with Train.zip, Val.zip and '
                   'Test.zip, or with what they hold. --partial converts what there is\n')
    assert not os.path.exists('data')
    status, out, _ = convert('loveda', loveda, '--partial')
    assert status == 0 and 'img_dir/train *.png: 3 files' in out


def test_two_files_for_one_name(loveda, convert):
    zipped(loveda / 'Val.zip', {**VAL, 'Val/Urban/images_png/0.png': encode(picture(13, 16))})
    status, _, err = convert('loveda', loveda)
    assert status == 2 and not os.path.exists('data')
    assert 'two files would be written to data/loveDA/img_dir/val/0.png: ' in err
    assert '/Val.zip/Val/Rural/images_png/0.png (' in err and '/Val.zip/Val/Urban/images_png/0.png (' in err


def test_archives_beside_what_was_unpacked_of_them(loveda, convert):
    loose(loveda, TRAIN)
    status, out, _ = convert('loveda', loveda)
    assert status == 0 and '12 files written' in out


def test_a_full_disk_is_seen_before_anything_is_written(loveda, convert, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(running.shutil, 'disk_usage', lambda place: usage(10**12, 10**12, 3000))
    status, _, err = convert('loveda', loveda)
    assert status == 2 and not os.path.exists('data')
    size = sum(map(len, [*TRAIN.values(), *VAL.values()])) / 1e6
    assert f'the converted files take about {size:.1f} MB and 0.0 MB are free in {os.getcwd()}: free some space' in err
    assert convert('loveda', loveda, '--no-disk-check')[0] == 0


@pytest.fixture
def small_disk():
    """Files of this process may not grow beyond 5 kB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[0][1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
    signal.signal(signal.SIGXFSZ, before[1])


def test_a_disk_that_fills_up_keeps_what_is_done(loveda, convert, small_disk):
    pass_limit = encode(picture(80, 80))
    assert len(pass_limit) > 5000
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit[1], limit[1]))
    zipped(loveda / 'Val.zip', {**VAL, 'Val/Urban/images_png/1366.png': pass_limit})
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    status, _, err = convert('loveda', loveda)
    assert status == 2
    assert (f'no room for data/loveDA/img_dir/val/1366.png: it takes {len(pass_limit):,} bytes. What is written stays: '
            'free some space and give the same command again') in err
    done = written('data/loveDA')
    assert 'img_dir/train/0.png' in done and not [name for name in done if 'writing' in name or '1366' in name and
                                                  name.startswith('img_dir/val')]


def test_images_without_labels_are_named(tmp_path, convert):
    del_mask = {name: content for name, content in TRAIN.items() if name != 'Train/Rural/masks_png/1.png'}
    loose(tmp_path / 'in', {**del_mask, **VAL})
    _, out, _ = convert('loveda', tmp_path / 'in')
    assert '    1 images without labels: 1\n' in out


def test_a_path_that_is_missing(convert, tmp_path):
    assert 'does not exist; its folder holds nothing' in convert('loveda', tmp_path / 'nowhere')[2]
    assert 'no path was given; expected the folder REFUGE2' in convert('refuge')[2]


@pytest.mark.parametrize('content, size, expected', [
    (encode(picture()), None, True), (encode(picture())[:-4], None, False), (b'', None, False), (b'abc', 3, True),
    (b'abc', 4, False), (encode(picture()) + b'more', None, True)])
def test_whole_files(tmp_path, content, size, expected):
    path = tmp_path / 'x.png'
    path.write_bytes(content)
    assert is_whole(str(path), size) == expected
    assert not is_whole(str(tmp_path / 'other.png'))


# Height and width of the 33 tiles of Vaihingen.
VAIHINGEN = {
    'train': '2569 1919, 3007 2006, 2557 1887, 2557 1887, 2566 1893, 2558 2818, 2565 1919, 1281 2336, 2546 1903, '
             '2546 1903, 1783 2995, 2567 1917, 2563 1934, 2555 1980, 2555 1388, 1995 1996',
    'val': '2767 2428, 2557 1887, 2557 1887, 2557 1887, 2557 1887, 2575 1922, 2565 1919, 2565 1919, 2315 1866, '
           '2546 1903, 2546 1903, 3313 1917, 2563 1917, 2555 1980, 2555 1581, 1884 2805, 2550 3816'}


def test_windows_add_up_to_the_published_counts():
    def windows(sizes):
        return sum(len(starts(height, 512, 512)) * len(starts(width, 512, 512)) for height, width in sizes)
    assert windows([(6000, 6000)] * 24) == 3456 and windows([(6000, 6000)] * 14) == 2016
    assert {split: windows([map(int, size.split()) for size in sizes.split(',')])
            for split, sizes in VAIHINGEN.items()} == {'train': 344, 'val': 398}


@pytest.mark.parametrize('length, side, step, expected', [
    (1147, 896, 512, [0, 251]), (896, 896, 512, [0]), (500, 896, 512, [0]),
    (6000, 512, 512, [*range(0, 5121, 512), 5488]),
    (1408, 896, 512, [0, 512])])
def test_windows_cover_and_the_last_is_moved_back(length, side, step, expected):
    assert starts(length, side, step) == expected


@pytest.mark.parametrize('folder', ['dataset_converters', 'convert_datasets'])
def test_scripts(folder):
    """The scripts of 1.x, under both of their paths, are the command."""
    tools = Path(__file__).resolve().parents[3] / 'tools' / folder
    assert sorted(path.stem for path in tools.glob('*.py')) == sorted(CONVERTERS)
    done = subprocess.run([sys.executable, tools / 'voc_aug.py', '--help'], capture_output=True, text=True, check=True)
    assert done.stdout.startswith('usage: mmseg convert-dataset voc_aug ')
