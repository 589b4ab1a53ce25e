"""The way of depths: files, training, prediction by windows, errors; with VPD in small and with a plain backbone."""
import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from torch import nn

from mmseg.evaluation import DepthMetric
from mmseg.models.decode_heads.vpd_depth_head import VPDDepthDecoder
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from mmseg.utils.config import read_config
from tests.golden import fill, image
from tests.models.backbones.test_vpd import TEXT_DIM, diffusion_cfg


@MODELS.register_module(name='HalvingBackbone', force=True)
class HalvingBackbone(nn.Module):
    """Features of stride 8 to 64 by strided convolutions."""

    out_channels = (16, 16, 8, 8)

    def __init__(self):
        super().__init__()
        steps = ((3, 8), (8, 16), (16, 16), (16, 8), (8, 8))
        self.convs = nn.ModuleList(nn.Conv2d(*pair, 4 if i == 0 else 3, stride=4 if i == 0 else 2, padding=int(i > 0))
                                   for i, pair in enumerate(steps))

    def forward(self, x):
        features = []
        for conv in self.convs:
            x = conv(x).relu()
            features.append(x)
        return features[1:]


HEAD = dict(type='VPDDepthHead', in_channels=[16, 16, 8, 8], embed_dim=8, feature_dim=16, num_deconv_layers=3,
            num_deconv_filters=(8, 8, 8))


def estimator(mode='whole', head=HEAD, **options):
    config = dict(dict(type='DepthEstimator', backbone=dict(type='HalvingBackbone'), decode_head=head,
                       test_cfg=dict(mode=mode, crop_size=(64, 64), stride=(32, 48))), **options)
    return fill(MODELS.build(config)).eval()


def small_vpd(**head):
    """VPD whose images are padded from 96 to 128 pixels, and whose head cuts the last row and column off again."""
    backbone = dict(type='VPD', diffusion_cfg=diffusion_cfg(), class_embed_path='', class_embed_select=True,
                    pad_shape=128, unet_cfg=dict(use_attn=False))
    model = MODELS.build(dict(type='DepthEstimator', backbone=backbone, decode_head=dict(
        HEAD, in_channels=[32, 32, 64, 64], fmap_border=1, **head)))
    fill(model)
    model.backbone.load_state_dict(dict(class_embeddings=torch.randn(28, TEXT_DIM)), strict=False)
    return model


def sample(depth=None, **meta):
    made = SegDataSample(metainfo=meta)
    if depth is not None:
        made.gt_depth_map = PixelData(data=depth)
    return made


# ----------------------------------------------------------------------------------------------------------- the parts

def test_parameters_of_the_published_head():
    with torch.device('meta'):
        head = MODELS.build(read_config('vpd_sd_4xb8-25k_nyu-480x480').model.decode_head)
    shapes = {key: tuple(value.shape) for key, value in head.state_dict().items()}
    assert {key: shapes[key] for key in (
        'conv1.3.weight', 'conv2.weight', 'conv_aggregation.0.weight', 'decoder.deconv_layers.0.weight',
        'decoder.conv_layers.0.bias', 'depth_pred_layer.2.weight')} == {
            'conv1.3.weight': (320, 320, 3, 3), 'conv2.weight': (640, 640, 3, 3),
            'conv_aggregation.0.weight': (1536, 3520, 1, 1), 'decoder.deconv_layers.0.weight': (1536, 32, 2, 2),
            'decoder.conv_layers.0.bias': (192,), 'depth_pred_layer.2.weight': (1, 192, 3, 3)}
    assert head.fmap_border == (1, 1) and head.max_depth == 10 and not any('conv_seg' in key for key in shapes)
    with pytest.raises(ValueError, match=r'num_deconv_layers=3, found \(8, 8\)'):
        VPDDepthDecoder(8, 8, 3, (8, 8))


@torch.no_grad()
@pytest.mark.parametrize('border, size', [(0, (128, 192)), ((1, 2), (96, 128))])
def test_head(border, size):
    head = fill(MODELS.build(dict(HEAD, max_depth=7.0, fmap_border=border))).eval()
    features = [image(128 // s, 192 // s, 2, channels=c) for s, c in zip((8, 16, 32, 64), HEAD['in_channels'])]
    depth = head(features)
    assert depth.shape == (2, 1, *size) and depth.min() > 0 and depth.max() < 7 and depth.std() > 0.01
    truth = torch.rand(2, 1, 50, 60) + 1
    truth[:, :, :7] = 0
    losses = head.loss_by_feat(depth, [sample(t) for t in truth])
    enlarged = torch.nn.functional.interpolate(depth, (50, 60), mode='bilinear')
    gap = (truth[:, :, 7:].log() - enlarged[:, :, 7:].log()).flatten(1)
    wanted = (gap.square().mean(1) - 0.5 * gap.mean(1).square()).sqrt().mean()
    torch.testing.assert_close(losses, dict(loss_silog=wanted))


# ---------------------------------------------------------------------------------------------------------- prediction

@torch.no_grad()
@pytest.mark.parametrize('mode', ['slide', 'slide_flip'])
def test_windows_are_averaged(mode):
    model = estimator(mode)
    picture = image(100, 150, 2)
    total, count = torch.zeros(2, 1, 100, 150), torch.zeros(100, 150)
    for top in (0, 32, 36):
        for left in (0, 48, 86):
            crop = picture[:, :, top:top + 64, left:left + 64]
            views = [model.encode_decode(crop, [{}] * 2)]
            if mode == 'slide_flip':
                views.append(model.encode_decode(crop.flip(3), [{}] * 2).flip(3))
            total[:, :, top:top + 64, left:left + 64] += sum(views) / len(views)
            count[top:top + 64, left:left + 64] += 1
    depth = model.inference(picture, [{}] * 2)
    torch.testing.assert_close(depth, total / count)
    model.test_cfg['window_batch'] = 4
    torch.testing.assert_close(model.inference(picture, [{}] * 2), depth)


@torch.no_grad()
def test_a_prediction_has_the_size_of_the_original():
    model = estimator()
    meta = dict(ori_shape=(50, 70), img_shape=(100, 140), pad_shape=(128, 192), padding_size=(0, 52, 0, 28))
    padded = torch.zeros(1, 3, 128, 192)
    padded[:, :, :100, :140] = image(100, 140)
    result, = model.predict(padded, [sample(**meta)])
    depth = model.encode_decode(padded, [meta])[:, :, :100, :140]
    wanted = torch.nn.functional.interpolate(depth, (50, 70), mode='bilinear')[0]
    torch.testing.assert_close(result.pred_depth_map.data, wanted)
    mirrored, = model.predict(padded, [sample(**meta, flip=True, flip_direction='horizontal')])
    torch.testing.assert_close(mirrored.pred_depth_map.data, wanted.flip(-1))
    assert 'pred_sem_seg' not in result
    plain, = estimator(test_cfg=None).predict(image(65, 97))
    assert plain.pred_depth_map.data.shape == (1, 65, 97)


def test_a_mode_that_there_is_not():
    with pytest.raises(ValueError, match="one of whole, slide, slide_flip, found 'flip'"):
        estimator('flip').predict(image(64, 64))


@torch.no_grad()
def test_the_backbone_is_told_the_rooms():
    model = small_vpd().eval()
    picture = image(96, 96)
    rooms = [model.predict(picture, [sample(category_id=i, ori_shape=(96, 96))])[0].pred_depth_map.data
             for i in (0, 1, -1)]
    assert rooms[0].shape == (1, 96, 96)
    assert (rooms[0] - rooms[1]).abs().max() > 1e-4
    unknown = model.predict(picture)[0].pred_depth_map.data
    torch.testing.assert_close(unknown, rooms[2])
    losses = [float(model.loss(picture, [sample(torch.ones(1, 96, 96), category_id=i)])['decode.loss_silog'])
              for i in (0, 1)]
    assert losses[0] != losses[1]


# ------------------------------------------------------------------------------------------------ from files to errors

def nyu(root):
    """Two rooms of 96x128 pixels whose depth grows to the right and shows in the picture; in millimetres."""
    depth = np.tile(np.linspace(1000, 5000, 128), (96, 1)).astype(np.uint16)
    for i, room in enumerate(('kitchen_0004', 'office_0012')):
        for folder, content in (('images', np.dstack([depth // 20] * 3).astype(np.uint8)), ('annotations', depth)):
            (root / folder / 'train').mkdir(parents=True, exist_ok=True)
            suffix = 'jpg' if folder == 'images' else 'png'
            cv2.imwrite(str(root / folder / 'train' / f'{room}.{suffix}'), np.roll(content, 16 * i, 1))
    return root


def pipelines():
    config = read_config('vpd_sd_4xb8-25k_nyu-480x480')
    training = [dict(step) for step in config.train_pipeline if step['type'] not in ('Albu', 'RandomFlip')]
    for step in training:
        if step['type'] == 'RandomCrop':
            step['crop_size'] = (96, 96)
    test = [dict(step) for step in config.test_pipeline]
    for step in test:
        if step['type'] == 'Resize':
            step['scale'] = (400, 96)
    return copy.deepcopy(training), test


@pytest.mark.parametrize('with_vpd', [False, True])
def test_a_few_steps_learn_a_room_by_heart(tmp_path, with_vpd):
    training, test = pipelines()
    folders = dict(img_path='images/train', depth_map_path='annotations/train')
    dataset, tested = (DATASETS.build(dict(
        type='NYUDataset', data_root=str(nyu(tmp_path)), pipeline=pipeline, test_mode=pipeline is test,
        data_prefix=folders)) for pipeline in (training, test))
    preprocessor = MODELS.build(dict(read_config('vpd_sd_4xb8-25k_nyu-480x480').model.data_preprocessor, size=(96, 96)))
    torch.manual_seed(0)
    model = small_vpd() if with_vpd else MODELS.build(dict(
        type='DepthEstimator', backbone=dict(type='HalvingBackbone'), decode_head=HEAD,
        test_cfg=dict(mode='slide_flip', crop_size=(96, 96), stride=(32, 32))))
    model.data_preprocessor = preprocessor
    model.train()
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = OptimWrapper(torch.optim.Adam(learning, lr=0.005 if with_vpd else 0.01))
    np.random.seed(0)  # noqa: NPY002 (the generator that the transforms draw from)
    batch = pseudo_collate([dataset[0], dataset[1]])
    assert [s.category_id for s in batch['data_samples']] == [6, 25]
    steps = 5 if with_vpd else 40
    losses = [float(model.train_step(batch, optimizer)['loss']) for _ in range(steps)]
    assert losses[-1] < (0.9 if with_vpd else 0.5) * losses[0]

    if not with_vpd:
        metric = DepthMetric(min_depth_eval=0.001, max_depth_eval=10.0)
        result = model.test_step(pseudo_collate([tested[0]]))
        assert result[0].pred_depth_map.data.shape == (1, 96, 128)
        metric.process({}, [result[0].to_dict()])
        errors = metric.evaluate(1)
        truth, depth = result[0].gt_depth_map.data, result[0].pred_depth_map.data
        assert errors['rmse'] == pytest.approx(float((truth - depth).square().mean().sqrt()), rel=1e-4)
        assert errors['rmse'] < 2
