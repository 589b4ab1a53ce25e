"""Exported files give what the network gives, or are not written."""
import pytest

from mmseg.cli import main

NAMES = {'torchscript': 'tiny.pt', 'torch-export': 'tiny.pt2', 'onnx': 'tiny.onnx'}


@pytest.mark.parametrize(('kind', 'options'), [
    *((kind, options) for kind in NAMES for options in ([], ['--dynamic-export'])),
    ('onnx', ['--end-to-end']), ('torch-export', ['--end-to-end'])])
def test_a_file_is_verified_and_written(project, tmp_path, capfd, kind, options):
    if kind == 'onnx':
        for package in ('onnx', 'onnxruntime', 'onnxscript'):
            pytest.importorskip(package)
    file = tmp_path / NAMES[kind]
    arguments = ['export', kind, str(project), str(project.with_suffix('.pth')), '--output-file', str(file),
                 '--shape', '48', '64', '--verify', *options]
    assert main(arguments) == 0
    said = capfd.readouterr().out
    assert file.stat().st_size > 1000
    assert 'labels are equal' in said
    if '--dynamic-export' in options:
        assert said.count('labels are equal') > 1  # at other sizes too


def test_a_kind_that_is_not_known_is_refused(project, capfd):
    with pytest.raises(SystemExit) as refused:
        main(['export', 'caffe', str(project)])
    assert refused.value.code == 2
    assert 'invalid choice' in capfd.readouterr().err


def test_a_file_that_is_no_model_is_refused(project, tmp_path, capfd):
    pytest.importorskip('onnxruntime')
    (tmp_path / 'model.onnx').write_text('text')
    assert main(['deploy-test', str(project), str(tmp_path / 'model.onnx'), 'onnxruntime']) == 2
    assert 'model.onnx' in capfd.readouterr().err
