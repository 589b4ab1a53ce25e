import subprocess
import sys

import pytest
from mmengine.config import Config

from mmseg.utils import config as config_module
from mmseg.utils.config import configs_folder, find_config, known_configs, read_config, take_package_names
from mmseg.utils.errors import ConfigError

NAMES = ('fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024', 'fcn/fcn_r50-d8_4xb2-80k_cityscapes-512x1024',
         'fcn/fcn_r50-d8_4xb2-amp-80k_cityscapes-512x1024', 'unet/unet-s5-d16_fcn_4xb4-40k_drive-64x64',
         'swin/swin-tiny_4xb2-80k_x-64x64', 'swin/swin-tiny_4xb4-80k_x-64x64')


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A folder of configs, and a working folder beside it."""
    folder = tmp_path / 'library' / 'configs'
    for name in (*NAMES, '_base_/models'):
        file = folder / f'{name}.py'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'name = {name!r}\n')
    monkeypatch.setattr(config_module, 'configs_folder', lambda: folder)
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    return folder


@pytest.mark.parametrize(('name', 'found'), [
    ('fcn_r50-d8_4xb2-40k_cityscapes-512x1024', NAMES[0]),
    ('fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py', NAMES[0]),
    ('fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024', NAMES[0]),
    ('mmseg::fcn/fcn_r50-d8_4xb2-80k_cityscapes-512x1024.py', NAMES[1]),
    ('configs/fcn/fcn_r50-d8_4xb2-80k_cityscapes-512x1024.py', NAMES[1]),
    ('fcn_r50-d8_512x1024_40k_cityscapes', NAMES[0]),
    ('fcn_r50-d8_fp16_512x1024_80k_cityscapes', NAMES[2]),
    ('configs/unet/fcn_unet_s5-d16_64x64_40k_drive.py', NAMES[3]),
])
def test_a_name_is_found_with_or_without_folder_package_and_suffix_and_by_its_name_of_0x(library, name, found):
    assert find_config(name) == library / f'{found}.py'


def test_a_path_comes_before_a_name(library):
    own = library.parents[1] / 'here' / f'{NAMES[0].partition("/")[2]}.py'
    own.write_text('')
    assert find_config(own.name).resolve() == own
    assert find_config(own.stem).resolve() == own


def test_a_name_that_is_not_there_gets_the_nearest(library):
    with pytest.raises(ConfigError, match='nearest are fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024'):
        find_config('fcn_r50-d8_4xb2-40k_cityscape-512x1024')
    (library.parents[1] / 'here' / 'mine.py').write_text('')
    with pytest.raises(ConfigError, match=r'nearest are .*mine\.py'):
        find_config('mina.py')


def test_a_name_of_two_configs_gets_both(library):
    with pytest.raises(ConfigError, match='could mean swin-tiny_4xb2-80k_x-64x64 or swin-tiny_4xb4-80k_x-64x64'):
        find_config('swin_tiny_64x64_80k_x')


def test_the_project_has_configs_and_each_is_found_by_its_bare_name():
    known = known_configs()
    assert all(path.is_relative_to(configs_folder()) for path in known.values())
    stems = [name.partition('/')[2] for name in known]
    assert len(stems) == len(set(stems)) > 0
    assert find_config(stems[0]) == known[next(iter(known))]


def test_options_are_set_by_dotted_key(library):
    cfg = read_config(NAMES[0], {'model.backbone.depth': 18})
    assert cfg.name == NAMES[0]
    assert cfg.model.backbone.depth == 18


@pytest.mark.parametrize(('base', 'leaf', 'message'), [
    ('a = 1\n', "_base_ = 'base.py'\nb = (1,\n     2\n\nc = 3\n", r"leaf\.py, line 2: syntax error: .*\n    b = \(1,"),
    ('a = [1, 2\nb = 3\n', "_base_ = 'base.py'\n", r"base\.py, line 1: syntax error: .*\n    a = \[1, 2"),
    ('a = 1\n\nb = undefined\n', "_base_ = 'base.py'\n",
     r"base\.py, line 3: NameError: .*undefined.*\n    b = undefined"),
    ('a = 1\n', "_base_ = 'basis.py'\n", r'leaf\.py: a base that it names does not exist: .*basis\.py'),
    ('a = 1\n', "_base_ = ['base.py', 'base.py']\n", r'leaf\.py: Duplicate key'),
    ('a = 1\n', "from mmengine.config import read_base\nwith read_base():\n    from .base import *\nb = (\n",
     r"leaf\.py, line 4: syntax error: .*\n    b = \("),
])
def test_an_error_in_a_config_says_file_line_and_text(tmp_path, base, leaf, message):
    (tmp_path / 'base.py').write_text(base)
    (tmp_path / 'leaf.py').write_text(leaf)
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / 'leaf.py')


def test_a_fault_outside_of_the_config_keeps_its_own_error(tmp_path, monkeypatch):
    (tmp_path / 'broken_module.py').write_text('1 / 0\n')
    (tmp_path / 'leaf.py').write_text("custom_imports = dict(imports=['broken_module'])\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        read_config(tmp_path / 'leaf.py')


def test_mmengine_reads_a_config_by_package_and_name():
    script = ('from mmengine.config import Config; import mmseg; '
              'print(Config.fromfile("mmseg::cgnet/cgnet_fcn_4xb4-60k_cityscapes-680x680.py").model.type)')
    assert subprocess.check_output([sys.executable, '-c', script], text=True) == 'EncoderDecoder\n'


def test_teaching_mmengine_twice_changes_nothing():
    take_package_names()
    before = Config.fromfile
    take_package_names()
    assert Config.fromfile is before
