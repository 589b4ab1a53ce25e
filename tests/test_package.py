"""What gets installed: a light package, its command, and the configs inside the wheel."""
import email
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import mmseg

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ('mmseg', 'configs', 'tools', 'demo', 'requirements', 'setup.py', 'MANIFEST.in', 'README.md', 'LICENSE')

# An interpreter in which nothing called mmcv can be found.
HIDE_MMCV = '''
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "mmcv" else find(name, package)
import mmseg
'''


def python(code, **environment):
    """Run code in a fresh interpreter, away from the checkout, and return what it prints."""
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=os.sep, capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': str(ROOT), **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel, built of a copy so that nothing is left in the checkout."""
    pytest.importorskip('pip', reason='the wheel is built by pip')
    copy, target = tmp_path_factory.mktemp('checkout'), tmp_path_factory.mktemp('wheel')
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns('.mim', '__pycache__'))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    (copy / 'tests').mkdir()
    (copy / 'tests' / '__init__.py').touch()
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
                    '--wheel-dir', str(target), str(copy)], check=True, capture_output=True)
    return next(target.glob('*.whl'))


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    """A folder with the wheel's content, as an installation has it."""
    folder = tmp_path_factory.mktemp('site')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_importing_mmseg_is_light():
    heavy = python('import sys, mmseg; print([name for name in ("mmcv", "mmengine", "cv2", "matplotlib", "scipy") '
                   'if name in sys.modules])')
    assert heavy == '[]'


def test_importing_mmseg_takes_no_time():
    """At most 0.3 s beside torch; twice that here, for a machine under load."""
    seconds = min(float(python('import torch, time; start = time.perf_counter(); import mmseg; '
                               'print(time.perf_counter() - start)')) for _ in range(2))
    assert seconds < 0.6


def test_help_of_the_command_is_fast_and_names_the_commands():
    start = time.perf_counter()
    text = python('import sys; from mmseg.cli import main\ntry: main(["--help"])\nexcept SystemExit: pass')
    assert {'train', 'test', 'predict'} <= set(text.split()) and time.perf_counter() - start < 5


def test_version_is_stated_once(wheel):
    assert wheel.name == f'mmsegmentation-{mmseg.__version__}-py3-none-any.whl'
    citation = (ROOT / 'CITATION.cff').read_text(encoding='utf-8')
    assert f'version: {mmseg.__version__}\n' in citation


def test_the_wheel_holds_code_and_configs_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition('/')[0] for name in names} == {'mmseg', f'mmsegmentation-{mmseg.__version__}.dist-info'}
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / 'mmseg').rglob('*.py') if '.mim' not in path.parts}
    assert ours <= set(names)
    configs = {f'mmseg/.mim/{path.relative_to(ROOT).as_posix()}' for path in (ROOT / 'configs').rglob('*.py')}
    assert configs <= set(names)
    assert {'mmseg/.mim/model-index.yml', 'mmseg/.mim/tools/dist_train.sh'} <= set(names)


def test_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        read = {name.rpartition('/')[2]: archive.read(name).decode() for name in archive.namelist()
                if '.dist-info/' in name}
    metadata = email.message_from_string(read['METADATA'])
    assert metadata['Requires-Python'] == '>=3.10'
    assert 'mmseg = mmseg.cli:main' in read['entry_points.txt']
    required = [line for line in metadata.get_all('Requires-Dist') if 'extra ==' not in line]
    assert {'torch', 'mmengine', 'mmcv-lite'} <= {re.match(r'[\w-]+', line)[0] for line in required}
    assert {'all', 'demo', 'optional', 'serve', 'tests', 'docs'} == set(metadata.get_all('Provides-Extra'))


def test_an_installed_package_finds_its_configs(installed):
    found = python('from mmseg.utils.config import find_config, read_config\n'
                   'name = "mmseg::demo/scenes.py"\n'
                   'print(find_config(name), read_config(name).data_root, sep="|")', PYTHONPATH=str(installed))
    assert found == f'{installed}/mmseg/.mim/configs/demo/scenes.py|data/scenes/'


@pytest.mark.skipif(find_spec('pkg_resources') is None, reason='mmengine 0.10 needs pkg_resources (setuptools < 82)')
def test_mmengine_finds_the_configs(installed, tmp_path):
    """As a base of a config of one's own, and through the hub."""
    (tmp_path / 'mine.py').write_text("_base_ = 'mmseg::demo/scenes.py'\n", encoding='utf-8')
    found = python('from mmengine.config import Config\nfrom mmengine.hub import get_config\n'
                   f'print(Config.fromfile({str(tmp_path / "mine.py")!r}).data_root, '
                   'get_config("mmseg::demo/scenes.py").data_root)', PYTHONPATH=str(installed))
    assert found == 'data/scenes/ data/scenes/'


def test_mmengine_finds_published_weights(installed):
    """What `mmengine.hub.get_model('mmseg::…', pretrained=True)` looks up."""
    found = python('from mmengine.config.utils import _get_cfg_metainfo\n'
                   f'print(_get_cfg_metainfo({str(installed / "mmseg")!r}, '
                   '"pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py")["Weights"])')
    assert found.startswith('https://') and found.endswith('-2966598c.pth')


def test_constraints_pin_one_version_of_each_package():
    lines = [line for line in (ROOT / 'constraints.txt').read_text(encoding='utf-8').splitlines()
             if line and not line.startswith('#')]
    pin = re.compile(r'([A-Za-z0-9._-]+)==[0-9][0-9.]*[0-9]( ; python_version >= "3\.1\d")?')
    pins = [pin.fullmatch(line) for line in lines]
    assert None not in pins
    names = [match[1].lower() for match in pins]
    assert names == sorted(set(names), key=lambda name: name.replace('_', '-'))
    assert {'torch', 'mmengine', 'mmcv-lite', 'numpy'} <= set(names)


def test_a_missing_mmcv_is_named_with_its_remedy(tmp_path):
    """An installation without dependencies has to say what it lacks."""
    done = subprocess.run([sys.executable, '-c', HIDE_MMCV], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 1
    assert 'mmseg needs mmcv, which is not installed: pip install mmengine mmcv-lite' in done.stderr
