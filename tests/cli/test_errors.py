import pytest

from mmseg.cli import main


@pytest.fixture
def fails(capsys, tmp_path, monkeypatch):
    """Run a command that must fail with status 2, and return the sentence that it says last."""
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        assert main([str(arg) for arg in argv]) == 2
        return capsys.readouterr().err.rpartition(f'mmseg {argv[0]}: ')[2].strip()
    return run


def test_a_config_that_is_not_there(fails):
    assert 'nearest are fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024' in fails(
        'train', 'fcn_r50-d8_4xb2-40k_cityscape-512x1024')


def test_a_syntax_error(fails, tmp_path):
    (tmp_path / 'c.py').write_text('a = 1\nb = = 2\n')
    assert fails('print-config', 'c.py') == 'c.py, line 2: syntax error: invalid syntax\n    b = = 2'


@pytest.mark.parametrize(('option', 'sentence'), [
    ('model.backbone.type=ResNetV1x', r"'ResNetV1x' is not a known model: did you mean ResNetV1"),
    ('model.decode_head.chanels=3',
     "config of FCNHead: got an unexpected keyword argument 'chanels'; did you mean channels?"),
    ('model.decode_head.num_convs=-1',
     'config of FCNHead: num_convs must be at least 0 and dilation 1, found -1 and 1'),
    ('train_dataloader.dataset.type=BaseSegDatset',
     "'BaseSegDatset' is not a known data set: did you mean BaseSegDataset"),
    ('model.decode_head', 'is not of the form KEY=VALUE'),
])
def test_a_wrong_value_in_a_config(fails, project, option, sentence):
    assert sentence in fails('train', project, '--cfg-options', option)


def test_a_checkpoint_that_is_not_there(fails, project):
    said = fails('test', project, project.with_name('tiy.pth'))
    assert "no file '" in said
    assert said.endswith('its folder holds tiny.pth')
    assert 'does not exist either' in fails('test', project, 'nowhere/x.pth')


def test_the_checkpoint_of_another_model_is_counted(fails, project):
    said = fails('predict', project, project.with_suffix('.pth'), project.parent / 'data' / 'images' / 'part',
                 '--cfg-options', 'model.decode_head.num_classes=5')
    assert 'the model has 5' in said and 'trained for 3 classes' in said
    said = fails('test', project, project.with_suffix('.pth'), '--cfg-options', 'model.backbone.depth=34')
    assert 'does not match EncoderDecoder' in said


@pytest.mark.parametrize(('arguments', 'sentence'), [
    (['empty'], 'the folder empty holds no image'),
    (['--out-dir', 'text.png'], 'cannot write to the folder text.png'),
    (['--device', 'cuda:99'], "the device 'cuda:99' is not here: this machine has cpu"),
    (['--device', 'gpu'], "the device 'gpu' is not here"),
    (['--palette', 'cityscape'], 'cityscapes'),
])
def test_what_predict_cannot_use(fails, project, tmp_path, arguments, sentence):
    (tmp_path / 'text.png').write_text('text')
    (tmp_path / 'empty').mkdir()
    inputs = [] if not arguments[0].startswith('--') else [project.parent / 'data' / 'images' / 'part' / '0.png']
    assert sentence in fails('predict', project, project.with_suffix('.pth'), *inputs, *arguments)


@pytest.mark.parametrize('name', ['nowhere.png', 'text.png'])
def test_an_image_that_predict_cannot_read_is_named_and_the_rest_goes_on(project, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'text.png').write_text('text')
    picture = project.parent / 'data' / 'images' / 'part' / '0.png'
    weights = project.with_suffix('.pth')
    assert main(['predict', str(project), str(weights), name, str(picture), '--out-dir', 'out']) == 1
    said = capsys.readouterr()
    assert name in said.err + said.out
    assert (tmp_path / 'out' / 'pred' / '0.png').is_file()


def test_a_folder_that_cannot_be_written(fails, project, tmp_path):
    (tmp_path / 'file').touch()
    assert 'cannot write to the folder file/deep' in fails('train', project, '--work-dir', 'file/deep')
    assert 'cannot write to the folder file' in fails(
        'test', project, project.with_suffix('.pth'), '--show-dir', 'file')


def test_an_unknown_metric(fails, project):
    assert '--eval knows mIoU, mDice, mFscore and cityscapes, found mIou' in fails(
        'test', project, project.with_suffix('.pth'), '--eval', 'mIou')


def test_tta_needs_its_pipeline(fails, project, tmp_path):
    (tmp_path / 'plain.py').write_text(project.read_text().replace('tta_pipeline', 'other_pipeline'))
    assert '--tta needs tta_pipeline in plain.py' in fails('test', 'plain.py', project.with_suffix('.pth'), '--tta')


def test_auto_scale_lr_needs_a_batch_size(fails, project):
    assert 'auto_scale_lr=dict(base_batch_size=…)' in fails('train', project, '--auto-scale-lr')
