"""One sample: what its files hold, and what is wrong with them. Whatever a file does, it becomes a finding."""
from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np

from mmseg.datasets.doctor.configured import Recipe
from mmseg.datasets.transforms.loading import renumber
from mmseg.registry import TRANSFORMS
from mmseg.utils.errors import InputError
from mmseg.utils.imread import decode_image, decode_labels, file_kind, read_file

# Labels above this are counted by sorting: a table of them would not fit into memory.
LARGEST_TABLE = 1 << 20


@dataclass
class Bands:
    """Level of an image's bands: how many pixels, and for each band mean, sum of squared deviations, range."""

    pixels: int
    mean: np.ndarray
    deviation: np.ndarray
    lowest: float
    highest: float
    dtype: str


@dataclass
class Finding:
    """What one sample holds.

    `values`, `counts`, `labels`: the different numbers in the label file, how many pixels have each, and the class (or
    `ignore_index`) that each becomes. `problems`: pairs of a kind and a sentence.
    """

    name: str
    size: tuple[int, ...] | None = None
    bands: Bands | None = None
    digest: bytes = b''
    values: np.ndarray | None = None
    counts: np.ndarray | None = None
    labels: np.ndarray | None = None
    problems: list[tuple[str, str]] = field(default_factory=list)


def examine(recipe: Recipe, sample: dict, has_labels: bool) -> Finding:
    """Read the files of a sample as the pipeline does, and describe them."""
    finding = Finding(str(sample['img_path']))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # what a reader only warns of does not hinder a training
        results = _read_image(recipe, sample, finding)
        if has_labels:
            _read_label(recipe, sample, results, finding)
    return finding


@lru_cache(maxsize=8)
def _transform(items: tuple) -> object:
    return TRANSFORMS.build(dict(items))


def _build(config: dict) -> object:
    try:
        return _transform(tuple(config.items()))
    except TypeError:  # some value cannot be hashed
        return TRANSFORMS.build(config)


def _complaint(error: Exception, path: str) -> str:
    """The error in a line that begins with the file."""
    if isinstance(error, OSError):
        return f'{path}: {error.strerror or error}'
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if path in text else f'{path}: {text}'


def _read_image(recipe: Recipe, sample: dict, finding: Finding) -> dict:
    path = str(sample['img_path'])
    results = dict(sample)
    try:
        for config in recipe.images:
            results = _build(config)(results) or {}
        images = [bands_last(results[key]) for key in ('img', 'img2') if key in results]
        if not images:
            raise InputError(f'{path}: {recipe.images[0]["type"]} gave no image')
    except FileNotFoundError as error:
        finding.problems.append(('missing image', _complaint(error, str(error.filename or path))))
        return {}
    except Exception as error:  # readers have errors of their own
        finding.problems.append(('unreadable image', _complaint(error, path)))
        return {}
    finding.size = images[0].shape[:-1]
    finding.digest = digest(images)
    finding.bands = describe_bands(np.concatenate(images, -1) if len(images) > 1 else images[0])
    if not np.isfinite(finding.bands.mean).all():
        finding.problems.append(('not finite', f'{path}: holds values that are not finite (nan or inf)'))
        finding.bands = None
    return results


def bands_last(image: np.ndarray) -> np.ndarray:
    """(H, W) -> (H, W, 1); a volume (N, Z, Y, X) -> (Z, Y, X, N)."""
    return image[..., None] if image.ndim == 2 else np.moveaxis(image, 0, -1) if image.ndim == 4 else image


def digest(images: list[np.ndarray]) -> bytes:
    """Eight bytes that tell the pixels of different images apart, however their files are packed."""
    hasher = hashlib.blake2b(digest_size=8)
    for image in images:
        hasher.update(repr((image.shape, str(image.dtype))).encode())
        hasher.update(np.ascontiguousarray(image).data.cast('B'))
    return hasher.digest()


def describe_bands(image: np.ndarray) -> Bands:
    """Summarise (…, N bands)."""
    pixels = image.size // image.shape[-1]
    if image.dtype in (np.uint8, np.uint16, np.float32) and image.shape[-1] <= 4:
        mean, deviation = (values.ravel() for values in cv2.meanStdDev(image.reshape(pixels, 1, -1)))
    else:
        columns = [image[..., band].astype(np.float64) for band in range(image.shape[-1])]
        mean, deviation = (np.array([getattr(column, name)() for column in columns]) for name in ('mean', 'std'))
    return Bands(pixels, mean, deviation**2 * pixels, float(image.min()), float(image.max()), str(image.dtype))


def _read_label(recipe: Recipe, sample: dict, results: dict, finding: Finding) -> None:
    path = str(sample.get('seg_map_path') or '')
    if 'gt_seg_map' in results:  # one file holds both
        label, path = np.asarray(results['gt_seg_map']), finding.name
    elif not path:
        finding.problems.append(('missing label', f'{finding.name}: has no label'))
        return
    else:
        label = _load_label(recipe, sample, path, finding)
    if label is None:
        return
    if finding.size is not None and label.shape != tuple(finding.size):
        found, wanted = (' x '.join(map(str, shape)) for shape in (label.shape, finding.size))
        finding.problems.append(('size mismatch', f'{path}: {found} for an image of {wanted} (height x width)'))
    finding.values, finding.counts = count_values(label)
    known = np.clip(finding.values, 0, LARGEST_TABLE)  # what lies beyond is no class, however it is called
    renumbered = renumber(known, bool(sample.get('reduce_zero_label')), sample.get('label_map'),
                          sample.get('ignore_index', recipe.ignore_index))
    finding.labels = np.where(finding.values < 0, finding.values, renumbered)
    is_class = (finding.labels >= 0) & (finding.labels < recipe.num_classes)
    outside = ~is_class & (finding.labels != recipe.ignore_index)
    if recipe.num_classes and outside.any():
        listed = ', '.join(f'{value} ({count} pixels)' for value, count in
                           zip(finding.values[outside][:6].tolist(), finding.counts[outside][:6].tolist()))
        more = f' and {outside.sum() - 6} more' if outside.sum() > 6 else ''
        finding.problems.append(('values outside the classes', f'{path}: {listed}{more}'))
    elif not is_class.any():
        finding.problems.append(('nothing labelled', f'{path}: every pixel is ignored'))


def _load_label(recipe: Recipe, sample: dict, path: str, finding: Finding) -> np.ndarray | None:
    """Read the numbers of a label file, before any renumbering."""
    if not os.path.exists(path) and '://' not in path:
        finding.problems.append(('missing label', f'{path}: no label for {finding.name}'))
        return None
    try:
        content = read_file(path, recipe.labels.get('backend_args'))
        kind = file_kind(content)
    except Exception as error:
        finding.problems.append(('unreadable label', _complaint(error, path)))
        return None
    if kind == 'JPEG':
        finding.problems.append(('JPEG mask', f'{path}: JPEG changes numbers and colours: make it anew as PNG'))
    try:
        if recipe.labels['type'] != 'LoadAnnotations':
            label = _build(recipe.labels)(dict(sample, seg_fields=[]))['gt_seg_map']
            return label.astype(np.int64) if np.asarray(label).dtype.kind == 'f' else label
        return decode_labels(content, path, recipe.labels.get('imdecode_backend', 'pillow'), sample.get('label_colors'))
    except Exception as error:
        coloured = isinstance(error, InputError) and _is_coloured(content, path)
        finding.problems.append(('RGB mask' if coloured else 'unreadable label', _complaint(error, path)))
        return None


def _is_coloured(content: bytes, path: str) -> bool:
    try:
        label = decode_image(content, path, 'unchanged')
    except InputError:
        return False
    return label.ndim == 3 and label.shape[2] in (3, 4)


def count_values(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different numbers in a label map, sorted, and how many pixels have each."""
    if label.dtype == np.uint8:
        counts = cv2.calcHist([np.ascontiguousarray(label).reshape(-1, 1)], [0], None, [256], [0, 256])
        counts = counts.ravel().astype(np.int64) if label.size < 1 << 24 else np.bincount(label.ravel())
    elif label.min(initial=0) >= 0 and label.max(initial=0) < LARGEST_TABLE:
        counts = np.bincount(label.ravel())
    else:
        return np.unique(label, return_counts=True)
    values = np.flatnonzero(counts)
    return values, counts[values]
