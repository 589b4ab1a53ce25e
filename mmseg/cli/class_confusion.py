"""Counting which class is taken for which over a data set, for `mmseg confusion-matrix`."""
from __future__ import annotations

import argparse
import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mmseg.cli import common
from mmseg.evaluation.metrics.summed_metric import SummedMetric
from mmseg.ops import confusion_matrix
from mmseg.registry import METRICS
from mmseg.utils.errors import InputError

# What a pickled array of integers consists of, as NumPy 1 and 2 write it.
ARRAY_PARTS = {('numpy', 'ndarray'), ('numpy', 'dtype'), ('_codecs', 'encode'), *(
    (f'numpy.{core}.multiarray', name) for core in ('core', '_core') for name in ('_reconstruct', 'scalar'))}
MOST_WRITTEN = 40  # classes up to which the cells are large enough for numbers


@METRICS.register_module()
class ConfusionMatrixMetric(SummedMetric):
    """Counts, for each class of the truth (row), the pixels predicted as each class (column).

    Args:
        ignore_index: pixels of this label are not counted.

    Attributes:
        matrix: the counts of the last evaluation, int64.
    """

    def __init__(self, ignore_index: int = 255, **kwargs):
        super().__init__(**kwargs)
        self.ignore_index = ignore_index
        self.matrix: np.ndarray | None = None

    def zeros(self) -> torch.Tensor:
        classes = len(self.dataset_meta['classes'])
        return torch.zeros(classes, classes, dtype=torch.int64)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            self.add(confusion_matrix(sample['pred_sem_seg']['data'][0], sample['gt_sem_seg']['data'][0],
                                      len(self.dataset_meta['classes']), self.ignore_index).cpu())

    def compute_metrics(self, results: list) -> dict[str, float]:
        self.matrix = self.total(results).numpy()
        return {'aAcc': float(100 * self.matrix.diagonal().sum() / max(self.matrix.sum(), 1))}


def evaluate(args: argparse.Namespace, checkpoint: str) -> tuple[np.ndarray, list[str]]:
    """Predict the test images of a config and count."""
    args.launcher, args.local_rank, args.work_dir = 'none', 0, f'{args.save_dir}/log'
    cfg = common.run_config(args)
    cfg.load_from, cfg.resume = checkpoint, False
    cfg.test_evaluator = dict(type='ConfusionMatrixMetric', ignore_index=ignored(args, cfg))
    runner = common.build_runner(cfg)
    runner.test()
    metric = runner.test_loop.evaluator.metrics[0]
    return metric.matrix, list(metric.dataset_meta['classes'])


def ignored(args: argparse.Namespace, cfg) -> int:
    """Return the label that does not count: of the command, the config's metric, or the usual one."""
    evaluator = cfg.get('test_evaluator') or {}
    of_config = evaluator.get('ignore_index', 255) if isinstance(evaluator, dict) else 255
    return of_config if args.ignore_index is None else args.ignore_index


def compare_labels(args: argparse.Namespace, source: Path) -> tuple[np.ndarray, list[str]]:
    """Count labels that were written before against the truth of the test data set."""
    from mmseg.registry import DATASETS
    cfg = common.data_config(args)
    if not cfg.get('test_dataloader'):
        raise InputError(f'{args.config} has no test_dataloader, whose labels the predictions are compared with')
    config = dict(cfg.test_dataloader.dataset, pipeline=[dict(type='LoadAnnotations')])
    dataset = DATASETS.build(config)
    predicted = read_folder(source, dataset) if source.is_dir() else read_pickle(source, dataset)
    classes = list(dataset.metainfo['classes'])
    total = np.zeros((len(classes), len(classes)), np.int64)
    for index, labels in enumerate(predicted):
        truth = dataset[index]['gt_seg_map']
        total += confusion_matrix(labels.astype(np.int64), truth.astype(np.int64), len(classes),
                                  ignored(args, cfg)).numpy()
    return total, classes


def read_folder(folder: Path, dataset):
    """Yield the labels that stand in a folder under the names of the images."""
    import cv2
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        file = folder / f'{Path(info["img_path"]).stem}.png'
        labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED) if file.is_file() else None
        if labels is None:
            raise InputError(f'no labels {file} for {info["img_path"]}: write them with `mmseg test --out {folder}`')
        yield labels.astype(np.int64) - int(bool(info.get('reduce_zero_label')))


class _Arrays(pickle.Unpickler):
    """Reads pickled arrays and refuses everything else, which could run any code."""

    def find_class(self, module: str, name: str):
        if (module, name) in ARRAY_PARTS:
            return super().find_class(module, name)
        raise InputError(f'the file asks for {module}.{name}, which is no array: give labels that '
                         '`mmseg test --out FILE.pkl` wrote')


def read_pickle(file: Path, dataset) -> list[np.ndarray]:
    """Read the list of labels that `mmseg test --out FILE.pkl` wrote."""
    common.existing_file(str(file))
    try:
        with open(file, 'rb') as stream:
            labels = _Arrays(stream).load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise InputError(f'{file} cannot be read as pickled labels: {error}') from error
    if not isinstance(labels, list) or len(labels) != len(dataset):
        found = f'{len(labels)} entries' if hasattr(labels, '__len__') else type(labels).__name__
        raise InputError(f'{file} holds {found} where the test data set has {len(dataset)} images')
    return labels


def write_json(matrix: np.ndarray, classes: list[str], path: Path) -> None:
    """Write counts, shares of each row in percent, and the intersection over union of each class."""
    from mmseg.utils.atomic import write_text
    hits = matrix.diagonal().astype(float)
    union = matrix.sum(0) + matrix.sum(1) - hits
    iou = [round(100 * h / u, 2) if u else None for h, u in zip(hits, union)]
    data = dict(classes=classes, counts=matrix.tolist(), percent=np.round(shares(matrix), 2).tolist(), iou=iou)
    write_text(json.dumps(data) + '\n', path)


def shares(matrix: np.ndarray) -> np.ndarray:
    """Return each row in percent of its sum."""
    return 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)


def draw(matrix: np.ndarray, classes: list[str], title: str, colors: str):
    """Return the picture as a figure of matplotlib."""
    from matplotlib.figure import Figure
    side = max(4., 0.45 * len(classes) + 2)
    figure = Figure(figsize=(side, side), dpi=100)
    axes = figure.subplots()
    values = shares(matrix)
    image = axes.imshow(values, cmap=colors, vmin=0, vmax=100)
    figure.colorbar(image, fraction=0.046, pad=0.04)
    axes.set(title=title, xlabel='prediction', ylabel='truth')
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    for row, column in np.ndindex(values.shape) if len(classes) <= MOST_WRITTEN else ():
        axes.text(column, row, f'{values[row, column]:.0f}', ha='center', va='center', color='white', fontsize=8)
    return figure
