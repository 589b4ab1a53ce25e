"""Results as the loaders leave them."""
import numpy as np
import pytest


@pytest.fixture
def make_results():
    """`make_results(height, width, bands, dtype)`: a noisy image with labels of 0 to 5 in blocks, some ignored."""
    def make(height=47, width=61, bands=3, dtype=np.uint8, seed=3):
        rng = np.random.default_rng(seed)
        shape = (height, width, bands) if bands else (height, width)
        image = rng.integers(0, 256, shape, np.uint8).astype(dtype)
        label = np.kron(np.random.default_rng(seed + 1).integers(0, 6, (-(-height // 8), -(-width // 8)), np.uint8),
                        np.ones((8, 8), np.uint8))
        label = label[:height, :width].copy()
        label[:2] = 255
        return dict(img=image, gt_seg_map=label, seg_fields=['gt_seg_map'], img_shape=(height, width),
                    ori_shape=(height, width), img_path='a.jpg', seg_map_path='a.png', reduce_zero_label=False)

    return make
