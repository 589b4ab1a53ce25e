"""Archives as the owners of data sets publish them, in small, and what is made of them."""
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from mmengine.registry import DefaultScope
from PIL import Image

from mmseg.registry import DATASETS
from mmseg.utils.config import read_config

BASES = Path(__file__).resolve().parents[3] / 'configs' / '_base_' / 'datasets'


def encode(pixels, kind='png'):
    """A picture file of an array; palette files of labels where `kind` is `palette`."""
    image = Image.fromarray(np.asarray(pixels))
    if kind == 'palette':
        image.putpalette([value for label in range(256) for value in (label, 255 - label, 0)])
        kind = 'png'
    stream = io.BytesIO()
    image.save(stream, {'jpg': 'JPEG', 'tif': 'TIFF'}.get(kind, kind))
    return stream.getvalue()


def picture(height=12, width=16, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def labels(height=12, width=16, classes=2, seed=0):
    return np.random.default_rng(seed).integers(0, classes, (height, width), np.uint8)


def zipped(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path, files, mode='w'):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def loose(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def read(path):
    return np.array(Image.open(path))


def written(folder):
    """Every file below a folder, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob('*') if path.is_file())


def samples(base, root, loader='val_dataloader'):
    """The data set of a published config, at another place."""
    cfg = read_config(BASES / f'{base}.py')[loader].dataset
    with DefaultScope.overwrite_default_scope('mmseg'):
        node = cfg.get('dataset', cfg)
        node.data_root = str(root)
        return DATASETS.build(node)


def paint(label, palette):
    return np.array(palette, np.uint8)[label]


def label_of(dataset, index=0):
    """The label that a data set loads, before it is made smaller or turned."""
    return read(dataset.get_data_info(index)['seg_map_path'])
