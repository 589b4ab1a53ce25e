import pytest
import torch

from mmseg.models.backbones import DeconvModule, InterpConv, UNet
from tests.golden import fill, image

SMALL = dict(base_channels=4)
INTERPOLATE_LAST = dict(type='InterpConv', conv_first=True, kernel_size=3, padding=1,
                        upsample_cfg=dict(scale_factor=2, mode='nearest'))


@pytest.mark.parametrize('options, channels, strides', [
    (dict(), (64, 32, 16, 8, 4), (16, 8, 4, 2, 1)),
    (dict(strides=(1, 2, 2, 1, 1), downsamples=(True, True, True, False), upsample_cfg=dict(type='DeconvModule')),
     (64, 32, 16, 8, 4), (8, 8, 4, 2, 1)),
    (dict(num_stages=2, strides=(1, 1), enc_num_convs=(1, 3), dec_num_convs=(1,), downsamples=(True,),
          enc_dilations=(1, 2), dec_dilations=(2,), upsample_cfg=INTERPOLATE_LAST), (8, 4), (2, 1)),
])
def test_features_have_the_published_channels_and_strides(options, channels, strides):
    model = fill(UNet(**SMALL, **options)).train()
    features = model(image(48, 64, batch=2))
    assert (model.out_channels, model.out_strides) == (channels, strides)
    assert [tuple(f.shape[1:]) for f in features] == [(c, 48 // s, 64 // s) for c, s in zip(channels, strides)]
    features[-1].square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_size_that_does_not_halve_evenly_is_told():
    with pytest.raises(ValueError, match=r'divisible by 16, found 65 x 96: pad to 80 x 96'):
        UNet(**SMALL)(image(65, 96))


@pytest.mark.parametrize('upsample', ['InterpConv', 'DeconvModule'])
def test_checkpointing_trains_the_same(upsample):
    outcomes = []
    for with_cp in (False, True):
        model = fill(UNet(**SMALL, upsample_cfg=dict(type=upsample), with_cp=with_cp)).train()
        model(image(32, 32, batch=2))[-1].square().mean().backward()
        outcomes.append([p.grad for p in model.parameters()] + list(model.buffers()))
    torch.testing.assert_close(*outcomes)


def test_norm_eval_holds_the_statistics():
    model = UNet(**SMALL, norm_eval=True).train()
    before = [b.clone() for b in model.buffers()]
    model(image(32, 32, batch=2))
    torch.testing.assert_close(list(model.buffers()), before, rtol=0, atol=0)


def test_transposed_convolution_grows_by_its_scale():
    assert DeconvModule(3, 5, kernel_size=5, scale_factor=3)(image(7, 9, batch=2)).shape == (2, 5, 21, 27)
    assert 'deconv_upsamping.0.weight' in DeconvModule(3, 5).state_dict()
    for kernel_size in (1, 3):
        with pytest.raises(ValueError, match=f'kernel_size {kernel_size} and scale_factor 2'):
            DeconvModule(3, 5, kernel_size=kernel_size)


def test_interpolation_before_or_after_the_convolution():
    keys = {conv_first: next(iter(InterpConv(3, 5, conv_first=conv_first).state_dict())) for conv_first in (0, 1)}
    assert keys == {0: 'interp_upsample.1.conv.weight', 1: 'interp_upsample.0.conv.weight'}


@pytest.mark.parametrize('options, error, words', [
    (dict(strides=(1, 1)), ValueError, '5 stages need 5 strides, found 2'),
    (dict(downsamples=(True,) * 5), ValueError, '5 stages need 4 downsamples, found 5'),
    (dict(dcn=dict(type='DCN')), NotImplementedError, 'leave dcn'),
])
def test_what_cannot_be_built_is_told(options, error, words):
    with pytest.raises(error, match=words):
        UNet(**options)
