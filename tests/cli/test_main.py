import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from mmseg import __version__
from mmseg.cli import COMMANDS, guard, main
from mmseg.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
TOOLS = {'train.py': 'train', 'test.py': 'test', 'print_config.py': 'print-config', 'benchmark.py': 'benchmark',
         'get_flops.py': 'get-flops', 'doctor.py': 'doctor', 'benchmark_loader.py': 'benchmark-loader',
         'browse_dataset.py': 'browse', 'analysis_tools/browse_dataset.py': 'browse',
         'misc/browse_dataset.py': 'browse',
         'migrate_config.py': 'migrate-config', 'publish_model.py': 'publish-model',
         'misc/publish_model.py': 'publish-model', 'confusion_matrix.py': 'confusion-matrix',
         'analysis_tools/confusion_matrix.py': 'confusion-matrix', 'visualization_cam.py': 'visualization-cam',
         'analysis_tools/visualization_cam.py': 'visualization-cam', 'feature_maps.py': 'feature-maps',
         'analysis_tools/feature_maps.py': 'feature-maps', 'model_ensemble.py': 'model-ensemble',
         'analysis_tools/get_flops.py': 'get-flops', 'analysis_tools/benchmark.py': 'benchmark',
         'misc/print_config.py': 'print-config'}


def run_python(*args, **env):
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, 'PYTHONPATH': str(ROOT), **env})


def test_help_names_every_command_and_comes_at_once():
    def seconds():  # of the processor: others may be at work too
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime
    start = seconds()
    done = run_python('-m', 'mmseg.cli', '--help')
    assert seconds() - start < 0.3
    assert done.returncode == 0
    assert all(f'\n    {name} ' in done.stdout for name in COMMANDS)


@pytest.mark.parametrize('command', COMMANDS)
def test_help_of_a_command_gives_an_example_and_imports_nothing_heavy(command):
    code = (f'import sys\nfrom mmseg.cli import main\ntry:\n    main([{command!r}, "--help"])\n'
            'except SystemExit as end:\n    assert not end.code\n'
            'print(sorted({"torch", "mmengine", "numpy", "cv2"} & set(sys.modules)))')
    done = run_python('-c', code)
    assert f'mmseg {command} ' in done.stdout.partition('usage')[2].partition('\n\n')[2]
    assert done.stdout.rstrip().endswith('[]')


@pytest.mark.parametrize('tool', TOOLS)
def test_a_script_is_the_command(tool):
    done = run_python(f'tools/{tool}', '--help', PYTHONPATH='')
    assert done.stdout.startswith(f'usage: mmseg {TOOLS[tool]} ')


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(['--version'])
    assert capsys.readouterr().out == f'mmseg {__version__}\n'


def test_an_underscore_in_a_command_is_a_hyphen(tmp_path, capsys):
    (tmp_path / 'c.py').write_text('number = 3\n')
    assert main(['print_config', str(tmp_path / 'c.py')]) == 0
    assert capsys.readouterr().out.strip() == 'number = 3'


@pytest.mark.parametrize('argv', [[], ['trian', 'x'], ['train'], ['train', 'x', '--unknown']])
def test_wrong_usage_has_status_2(argv, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    assert 'usage: mmseg' in capsys.readouterr().err


def mistake(error):
    def run():
        raise error
    return run


def worker_error():
    return FileNotFoundError('Caught FileNotFoundError in DataLoader worker process 0.\nOriginal Traceback (most '
                             'recent call last):\n  File ...\nFileNotFoundError: no labels in a/b')


@pytest.mark.parametrize(('error', 'sentence'), [
    (InputError('this is wrong'), 'mmseg: this is wrong'),
    (FileNotFoundError(2, 'No such file or directory', 'a.png'),
     'mmseg: a.png: No such file or directory (give a path that exists)'),
    (PermissionError(13, 'Permission denied', '/x'), 'mmseg: /x: Permission denied (choose a place that you may use)'),
    (worker_error(), 'mmseg: no labels in a/b'),
    (ModuleNotFoundError("No module named 'nibabel'"), "mmseg: No module named 'nibabel'"),
    (FloatingPointError('the loss is nan'), 'mmseg: the loss is nan'),
])
def test_a_mistake_of_the_user_is_one_sentence_with_status_2(error, sentence, capsys, monkeypatch):
    monkeypatch.delenv('MMSEG_DEBUG', raising=False)
    assert guard(mistake(error)) == 2
    assert capsys.readouterr().err == sentence + '\n'
    with pytest.raises(type(error)):
        guard(mistake(error), debug=True)
    monkeypatch.setenv('MMSEG_DEBUG', '1')
    with pytest.raises(type(error)):
        guard(mistake(error))


@pytest.mark.parametrize('error', [ValueError('x'), KeyError('x'), TypeError('x'), RuntimeError('x')])
def test_a_fault_of_the_program_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        guard(mistake(error))


def test_an_interrupted_command_has_status_130(capsys):
    assert guard(mistake(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == 'mmseg: interrupted\n'
