import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmseg.apis import inference_model, init_model, show_result_pyplot
from mmseg.apis.inference import choose_device
from mmseg.apis.pipeline import ImagePipeline, images_in, predict_prepared, without_label_loading
from mmseg.utils.config import read_config
from mmseg.utils.errors import InputError
from tests.cli.tiny import CLASSES, PALETTE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def model(project):
    return init_model(project, str(project.with_suffix('.pth')), device='cpu')


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_importing_the_apis_is_light():
    code = 'import sys, mmseg.apis; print(sorted({"torch", "mmengine", "cv2", "matplotlib"} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.stdout.strip() == '[]'


def test_a_model_is_ready_to_predict(model, project):
    assert not model.training
    assert model.cfg.filename == str(project)
    assert tuple(model.dataset_meta['classes']) == CLASSES
    assert [list(color) for color in model.dataset_meta['palette']] == PALETTE
    weights = torch.load(project.with_suffix('.pth'), weights_only=True)['state_dict']
    assert torch.equal(model.state_dict()['decode_head.conv_seg.weight'], weights['decode_head.conv_seg.weight'])
    assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in model.modules())


def test_options_change_the_config(project):
    with pytest.warns(UserWarning, match='weights are random'):
        model = init_model(str(project), device='cpu', cfg_options={'model.decode_head.num_classes': 7})
    assert model.decode_head.conv_seg.out_channels == 7


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_without_cuda_the_cpu_is_taken_with_a_warning(project):
    with pytest.warns(UserWarning, match='CPU instead of cuda:0'):
        model = init_model(project, str(project.with_suffix('.pth')))
    assert next(model.parameters()).device.type == 'cpu'


def test_a_device_is_chosen_or_refused():
    assert choose_device('cpu') == 'cpu'
    assert choose_device(None) == ('cuda:0' if torch.cuda.is_available() else 'cpu')
    with pytest.raises(InputError, match="device 'cuda:99' is not here: this machine has cpu"):
        choose_device('cuda:99')


def test_a_file_an_array_and_a_list_of_any_sizes_give_the_same_labels(model, tmp_path):
    images = [noise(48, 64), noise(33, 50, 1), noise(48, 64, 2)]
    files = [str(tmp_path / f'{i}.png') for i in range(3)]
    for file, image in zip(files, images):
        cv2.imwrite(file, image)
    together = inference_model(model, [files[0], images[1], Path(files[2])])
    assert [tuple(sample.pred_sem_seg.shape) for sample in together] == [(48, 64), (33, 50), (48, 64)]
    for sample, image in zip(together, images):
        alone = inference_model(model, image)
        assert torch.equal(alone.pred_sem_seg.data, sample.pred_sem_seg.data)
        assert torch.equal(alone.seg_logits.data.argmax(0, keepdim=True), alone.pred_sem_seg.data)
    assert len(torch.unique(together[0].pred_sem_seg.data)) > 1


def test_a_grey_image_is_taken_as_colour(model):
    grey = noise(20, 30)[..., 0]
    expected = inference_model(model, np.dstack([grey] * 3)).pred_sem_seg.data
    assert torch.equal(inference_model(model, grey).pred_sem_seg.data, expected)


def test_images_of_one_size_go_through_together_in_limited_batches(model, monkeypatch):
    monkeypatch.setattr('mmseg.apis.pipeline.PIXELS_AT_ONCE', 3 * 20 * 30)
    pipeline, seen = ImagePipeline(model.cfg), []
    test_step = model.test_step
    monkeypatch.setattr(model, 'test_step', lambda batch: seen.append(len(batch['inputs'])) or test_step(batch))
    images = [noise(*size, seed) for seed, size in enumerate([(20, 30)] * 4 + [(10, 30)] + [(100, 90)] * 2)]
    samples = predict_prepared(model, map(pipeline, images))
    assert sorted(seen) == [1, 1, 1, 1, 3]
    assert [sample.ori_shape for sample in samples] == [image.shape[:2] for image in images]


@pytest.mark.parametrize('shape', [(5,), (0, 10, 3), (2, 3, 4, 5)])
def test_an_array_that_is_no_image_is_refused(model, shape):
    with pytest.raises(InputError, match=r'image has the shape .*expected \(height, width'):
        inference_model(model, np.zeros(shape, np.uint8))


def test_an_unreadable_file_is_named(model, tmp_path):
    with pytest.raises(InputError, match=r'none\.png: No such file'):
        inference_model(model, str(tmp_path / 'none.png'))
    (tmp_path / 'text.png').write_text('text')
    with pytest.raises(InputError, match=r'text\.png'):
        inference_model(model, str(tmp_path / 'text.png'))


def test_labels_are_not_loaded_for_images_without():
    load, pack = dict(type='LoadImageFromFile'), dict(type='PackSegInputs')
    labels = [dict(type='LoadAnnotations'), dict(type='LoadDepthAnnotation')]
    assert without_label_loading([load, *labels, pack]) == [load, pack]
    views = dict(type='TestTimeAug', transforms=[[dict(type='RandomFlip')], [dict(type='LoadAnnotations')], [pack]])
    assert without_label_loading([load, views]) == [load, dict(views, transforms=[[dict(type='RandomFlip')], [pack]])]


def test_the_pipeline_of_the_data_set_stands_in_for_a_missing_test_pipeline(project, model):
    cfg = read_config(project)
    cfg.pop('test_pipeline')
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[cfg.test_dataloader.dataset])
    image = noise(9, 9)
    assert torch.equal(ImagePipeline(cfg)(image)['inputs'], ImagePipeline(model.cfg)(image)['inputs'])
    cfg.pop('test_dataloader')
    with pytest.raises(InputError, match='neither `test_pipeline` nor'):
        ImagePipeline(cfg)


def test_a_folder_is_listed_by_name_without_what_is_no_image(tmp_path):
    for name in ('b.png', 'a.JPG', 'notes.txt'):
        (tmp_path / name).touch()
    assert images_in(tmp_path) == [str(tmp_path / 'a.JPG'), str(tmp_path / 'b.png')]
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='holds no image'):
        images_in(tmp_path / 'empty')


def test_a_result_is_drawn_in_the_colours_of_its_classes(model, tmp_path):
    image = noise(48, 64)
    result = inference_model(model, image)
    picture = show_result_pyplot(model, image, result, opacity=1., show=False, with_labels=False,
                                 out_file=str(tmp_path / 'out.png'))
    assert np.array_equal(picture, np.array(PALETTE, np.uint8)[result.pred_sem_seg.data[0]])
    assert np.array_equal(cv2.imread(str(tmp_path / 'out.png'))[..., ::-1], picture)
    show_result_pyplot(model, image, result, title='street', show=False, save_dir=str(tmp_path))
    assert (tmp_path / 'vis_data' / 'vis_image' / 'street_0.png').is_file()
