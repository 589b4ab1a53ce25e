"""What `make demo` does, on a few scenes and for a few steps: train, evaluate with pictures, predict."""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg.cli import main
from mmseg.datasets.scenes import CLASSES, SIZE, write_scenes

CONFIG = str(Path(__file__).resolve().parents[1] / 'configs' / 'demo' / 'scenes.py')
pytest.importorskip('skimage', reason='the scenes are composed of photographs that come with scikit-image')


def test_train_evaluate_predict(tmp_path):
    """The folder is given by its path, as one's own would be; the number of classes follows from it."""
    data = write_scenes(tmp_path / 'mine', dict(train=8, val=2))
    work = tmp_path / 'work'
    few = ['--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'train_dataloader.num_workers=0',
           'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
           'val_dataloader.persistent_workers=False', 'test_dataloader.num_workers=0',
           'test_dataloader.persistent_workers=False', 'default_hooks.checkpoint.interval=2']
    place = ['--work-dir', str(work), '--data-root', str(data)]
    assert main(['train', CONFIG, *place, *few]) == 0
    checkpoint = (work / 'last_checkpoint').read_text().strip()
    assert main(['test', CONFIG, checkpoint, *place, '--show-dir', str(work / 'pictures'), *few]) == 0

    pictures = sorted((work / 'pictures').rglob('*.*'))
    assert [picture.stem for picture in pictures] == ['0000', '0001']
    assert Image.open(pictures[0]).width >= 3 * SIZE, 'image, truth and prediction side by side'
    figures = [json.loads(line) for path in sorted(work.glob('*/vis_data/scalars.json'))
               for line in path.read_text().splitlines()]
    assert all(0 <= line['mIoU'] <= 100 for line in figures if 'mIoU' in line)
    assert sum('mIoU' in line for line in figures) >= 1

    picture = shutil.copy(data / 'images' / 'val' / '0001.png', tmp_path / 'new.png')
    shutil.rmtree(data)
    assert main(['predict', CONFIG, checkpoint, str(picture), '--out-dir', str(tmp_path / 'out')]) == 0
    labels = np.asarray(Image.open(tmp_path / 'out' / 'pred' / 'new.png'))
    assert labels.shape == (SIZE, SIZE) and labels.max() < len(CLASSES)
