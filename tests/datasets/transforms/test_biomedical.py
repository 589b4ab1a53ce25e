"""Volumes."""
import numpy as np
import pytest

from mmseg.datasets.transforms import (
    BioMedical3DPad,
    BioMedical3DRandomCrop,
    BioMedical3DRandomFlip,
    BioMedicalGaussianBlur,
    BioMedicalGaussianNoise,
    BioMedicalRandomGamma,
    LoadBiomedicalAnnotation,
    LoadBiomedicalData,
    LoadBiomedicalImageFromFile,
    PackSegInputs,
)


@pytest.fixture
def volume():
    """Two modalities of 12 x 14 x 16 voxels with a small region of class 3."""
    label = np.zeros((12, 14, 16), np.uint8)
    label[8:10, 3:6, 12:15] = 3
    image = np.random.default_rng(0).standard_normal((2, 12, 14, 16)).astype(np.float32)
    return dict(img=image, gt_seg_map=label, img_shape=(12, 14, 16), img_path='a.nii.gz', seg_fields=[])


def test_loading_numpy_volumes(tmp_path):
    stored = np.random.default_rng(0).random((4, 5, 6))
    np.save(tmp_path / 'a.npy', stored)
    paths = dict(img_path=str(tmp_path / 'a.npy'), seg_map_path=str(tmp_path / 'a.npy'))
    results = LoadBiomedicalImageFromFile(decode_backend='numpy')(dict(paths))
    assert results['img'].dtype == np.float32
    np.testing.assert_allclose(results['img'], stored[None], rtol=1e-6)
    assert results['img_shape'] == results['ori_shape'] == (4, 5, 6)
    results = LoadBiomedicalAnnotation(decode_backend='numpy', to_xyz=True, to_float32=False)(dict(paths))
    np.testing.assert_array_equal(results['gt_seg_map'], stored.transpose(2, 1, 0))


def test_loading_image_and_labels_from_one_file(tmp_path):
    stored = np.random.default_rng(0).random((3, 4, 5, 6))
    np.save(tmp_path / 'a.npy', stored)
    paths = dict(img_path=str(tmp_path / 'a.npy'))
    results = LoadBiomedicalData(with_seg=True)(dict(paths))
    np.testing.assert_array_equal(results['img'], stored[:2])
    np.testing.assert_array_equal(results['gt_seg_map'], stored[2])
    assert 'gt_seg_map' not in LoadBiomedicalData()(dict(paths))
    results = LoadBiomedicalData(with_seg=True, to_xyz=True)(dict(paths))
    assert results['img'].shape == (2, 6, 5, 4) and results['gt_seg_map'].shape == (6, 5, 4)


def test_nifti_is_turned_into_zyx_or_needs_nibabel(tmp_path):
    (tmp_path / 'a.nii').write_bytes(b'')
    load = LoadBiomedicalImageFromFile()
    try:
        import nibabel
    except ImportError:
        with pytest.raises(ImportError, match='needs nibabel, which is not installed: pip install nibabel'):
            load(dict(img_path=str(tmp_path / 'a.nii')))
        return
    stored = np.random.default_rng(0).random((4, 5, 6))
    nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), tmp_path / 'a.nii')
    results = load(dict(img_path=str(tmp_path / 'a.nii')))
    np.testing.assert_allclose(results['img'][0], stored.transpose(2, 1, 0), rtol=1e-6)


def test_a_crop_holds_the_foreground(volume):
    for _ in range(10):
        results = BioMedical3DRandomCrop((6, 7, 8))(dict(volume))
        assert results['img'].shape == (2, 6, 7, 8)
        assert results['img_shape'] == results['gt_seg_map'].shape == (6, 7, 8)
    crop = BioMedical3DRandomCrop((2, 2, 2))
    margins = np.array([crop.generate_margin(volume) for _ in range(60)])
    assert margins.min(0).tolist() == [7, 2, 11] and margins.max(0).tolist() == [8, 4, 13]


def test_a_crop_of_background_warns(volume):
    volume['gt_seg_map'][:] = 0
    crop = BioMedical3DRandomCrop(4)
    with pytest.warns(UserWarning, match=r'a\.nii\.gz: no label but 0'):
        assert crop.generate_margin(volume) == (8, 10, 12)
    assert BioMedical3DRandomCrop(20, keep_foreground=False)(volume)['img'].shape == (2, 12, 14, 16)


def test_padding_is_at_the_far_ends(volume):
    results = BioMedical3DPad((13, 10, 20), pad_val=5., seg_pad_val=7)(dict(volume))
    assert results['img'].shape == (2, 13, 14, 20) and results['pad_shape'] == (13, 14, 20)
    np.testing.assert_array_equal(results['img'][:, :12, :, :16], volume['img'])
    assert (results['img'][:, 12:] == 5).all() and (results['gt_seg_map'][..., 16:] == 7).all()


@pytest.mark.parametrize('axes, order', [((0,), np.s_[::-1]), ((1, 2), np.s_[:, ::-1, ::-1])])
def test_flips_of_chosen_axes(axes, order, volume):
    volume['gt_seg_map'][0, 0, 0] = 1
    results = BioMedical3DRandomFlip(1.0, axes, swap_label_pairs=[(1, 3)])(dict(volume))
    np.testing.assert_array_equal(results['img'], np.stack([part[order] for part in volume['img']]))
    flipped = volume['gt_seg_map'][order]
    np.testing.assert_array_equal(results['gt_seg_map'],
                                  np.select([flipped == 1, flipped == 3], [3, 1], flipped.astype(int)))
    assert results['flip_axes'] == axes
    same = BioMedical3DRandomFlip(0.0, axes, [(1, 3)])(dict(volume))
    np.testing.assert_array_equal(same['gt_seg_map'], volume['gt_seg_map'])
    assert same['do_flip'] == (False, False, False)


def test_noise_has_the_strength_asked_for(volume):
    volume['img'][:] = 0
    noise = BioMedicalGaussianNoise(prob=1.0, mean=3.0, std=0.2)(dict(volume))['img']
    assert noise.dtype == np.float32
    assert abs(noise.mean() - 3) < 0.02 and noise.std() < 0.22
    assert BioMedicalGaussianNoise(prob=0.0)(dict(volume))['img'] is volume['img']


def test_blur_smooths_and_keeps_the_mean(volume):
    before = volume['img'].copy()
    blurred = BioMedicalGaussianBlur((1.0, 2.0), prob=1.0, prob_per_channel=1.0)(dict(volume))['img']
    np.testing.assert_array_equal(volume['img'], before)
    assert blurred.std() < 0.5 * before.std()
    assert abs(blurred.mean() - before.mean()) < 0.05
    fixed = BioMedicalGaussianBlur((1.0, 1.0), prob=1.0, prob_per_channel=1.0)
    np.testing.assert_array_equal(fixed(dict(volume))['img'], fixed(dict(volume))['img'])


@pytest.mark.parametrize('invert', [False, True])
@pytest.mark.parametrize('per_channel', [False, True])
def test_gamma_keeps_order_and_range(invert, per_channel, volume):
    gamma = BioMedicalRandomGamma(1.0, (0.5, 2), invert, per_channel)
    image = gamma(dict(volume))['img']
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image[0].ravel().argsort(), volume['img'][0].ravel().argsort())
    assert image.max() == pytest.approx(volume['img'].max(), abs=1e-4)
    assert not np.allclose(image, volume['img'], atol=1e-2)


def test_gamma_can_keep_mean_and_deviation(volume):
    image = BioMedicalRandomGamma(1.0, (1.5, 2), retain_stats=True)(dict(volume))['img']
    assert image.mean() == pytest.approx(volume['img'].mean(), abs=1e-4)
    assert image.std() == pytest.approx(volume['img'].std(), rel=1e-4)


@pytest.mark.filterwarnings('ignore:gt_seg_map has shape')
def test_volumes_are_packed(volume):
    packed = PackSegInputs()(volume)
    assert packed['inputs'].shape == (2, 12, 14, 16)
    assert packed['data_samples'].gt_sem_seg.data.shape == (12, 14, 16)
