"""Evaluate a model for a report: figures, best and worst images, speed and memory, in memory that does not grow."""
from __future__ import annotations

import heapq
import platform
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from mmseg.apis.pipeline import half_precision
from mmseg.evaluation.report.statistics import Statistics
from mmseg.registry import DATASETS
from mmseg.utils.errors import InputError
from mmseg.visualization.drawing import overlay_labels
from mmseg.visualization.files import read_image
from mmseg.visualization.report.page import ClassFigures, Example, Figure, Report

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmseg.models.segmentors.base import BaseSegmentor

PANEL_SIDE = 480
OPACITY = 0.65
WRONG = (213, 94, 0)  # told from grey by those who see few colours, too
JPEG_QUALITY = 82
WARM_UP = 3
MEANINGS = {'mIoU': 'mean intersection over union of the classes', 'mAcc': 'mean recall of the classes',
            'aAcc': 'share of right pixels', 'boundary mIoU': 'mIoU of the pixels near outlines',
            'ECE': 'expected calibration error'}


def evaluate_for_report(model: BaseSegmentor, cfg: Config, checkpoint: str, examples: int = 4, limit: int | None = None,
                        amp: bool = False,
                        progress: Callable[[Iterable, int], Iterable] = lambda items, _: items) -> Report:
    """Evaluate a model on the test data of its config.

    Args:
        model: from `init_model`.
        cfg: its config; `test_dataloader` says which data.
        checkpoint: its name, for the report.
        examples: how many of the best and of the worst images to show.
        limit: take so many images, spread evenly (all).
        amp: whether to compute in float16 on a GPU and in bfloat16 on a CPU.
        progress: given the images and their number, yields them and shows how far it is.

    Raises:
        InputError: the config has no test data, or these have no labels, or the model predicts no classes.
    """
    dataset, batches = _test_data(cfg, limit)
    classes, palette = (model.dataset_meta[key] for key in ('classes', 'palette'))
    statistics = Statistics(len(classes), getattr(dataset, 'ignore_index', 255))
    gallery, clock, scores = Gallery(examples, palette, statistics.ignore_index), Clock(model), []
    for batch in progress(batches, len(batches)):
        with torch.no_grad(), half_precision(model, amp):
            (sample,) = clock.time(model.test_step, batch)
        pred, truth = _labels(sample, model)
        scores.append(statistics.add(pred, truth, sample.seg_logits.data))
        gallery.consider(scores[-1], sample, pred, truth)
    return _report(cfg, checkpoint, dataset, statistics, gallery, clock, (classes, palette), np.array(scores), amp)


def _test_data(cfg: Config, limit: int | None) -> tuple:
    """Return the data set of the test and batches of one image of it."""
    loader = cfg.get('test_dataloader')
    if not loader:
        name = getattr(cfg, 'filename', None) or 'the config'
        raise InputError(f'{name} has no test_dataloader: nothing to evaluate')
    dataset = DATASETS.build(loader.dataset)
    count = len(dataset) if limit is None else min(limit, len(dataset))
    if count < 1:
        raise InputError(f'a report needs at least one image, found {count}')
    chosen = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    return dataset, torch.utils.data.DataLoader(
        torch.utils.data.Subset(dataset, chosen), batch_size=1, num_workers=min(loader.get('num_workers', 0), count),
        collate_fn=pseudo_collate)


def _labels(sample, model: BaseSegmentor) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true labels, (H, W)."""
    for name, what in (('pred_sem_seg', f'{type(model).__name__} predicts no classes'),
                       ('gt_sem_seg', 'the test data have no labels')):
        if name not in sample:
            raise InputError(f'{what}, so a report has nothing to compare')
    return tuple(sample.get(name).data.squeeze(0).cpu().numpy() for name in ('pred_sem_seg', 'gt_sem_seg'))


class Clock:
    """Times predictions and watches memory.

    Args:
        model: that predicts.
    """

    def __init__(self, model: BaseSegmentor):
        self.device = next(model.parameters()).device
        self.parameters = sum(parameter.numel() for parameter in model.parameters())
        self.seconds: list[float] = []
        if self.device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats(self.device)

    def time(self, function: Callable, *args):
        """Call a function and note how long it takes."""
        start = self._now()
        result = function(*args)
        self.seconds.append(self._now() - start)
        return result

    def _now(self) -> float:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def findings(self) -> dict[str, str]:
        """Speed, memory and size, in words."""
        seconds = self.seconds[WARM_UP:] or self.seconds
        low, median, high = np.quantile(seconds, (0.1, 0.5, 0.9)) * 1000
        found = {'Time': f'{median:.0f} ms an image',
                 'From bytes to labels, one image at a time':
                     f'median {median:.1f} ms, 80 % of the images between {low:.1f} and {high:.1f} ms'}
        if self.device.type == 'cuda':
            found['Peak memory of the GPU'] = f'{torch.cuda.max_memory_allocated(self.device) / 2**20:.0f} MiB'
        if (peak := _peak_memory()) is not None:
            found['Peak memory of the process, with the evaluation'] = f'{peak >> 20} MiB'
        found['Parameters'] = f'{self.parameters / 1e6:.2f} million'
        return found


def _peak_memory() -> int | None:
    """Most bytes of memory that this process has held; None where the system does not tell."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


class Gallery:
    """The best and the worst images so far; of the others nothing is kept.

    Args:
        size: of each kind.
        palette: colours of the classes.
        ignore_index: label of ignored pixels.
    """

    def __init__(self, size: int, palette, ignore_index: int):
        self.size, self.palette, self.ignore_index = size, palette, ignore_index
        self._best: list[tuple[float, int, Example]] = []
        self._worst: list[tuple[float, int, Example]] = []
        self._seen = 0

    def consider(self, score: float, sample, pred: np.ndarray, truth: np.ndarray) -> None:
        """Keep an image if it is among the best or the worst."""
        self._seen += 1
        wanted = [(heap, rank) for heap, rank in ((self._best, score), (self._worst, -score))
                  if np.isfinite(score) and self.size and (len(heap) < self.size or rank > heap[0][0])]
        if not wanted:
            return
        example = Example(Path(sample.metainfo.get('img_path') or f'image {self._seen}').name, score,
                          self._panels(sample, pred, truth))
        for heap, rank in wanted:
            heapq.heappush(heap, (rank, -self._seen, example))
            if len(heap) > self.size:
                heapq.heappop(heap)

    @property
    def best(self) -> list[Example]:
        return [example for *_, example in sorted(self._best, reverse=True)]

    @property
    def worst(self) -> list[Example]:
        """The worst; an image that is also among the best, as in a small data set, is left to those."""
        best = [id(example) for example in self.best]
        return [example for *_, example in sorted(self._worst, reverse=True) if id(example) not in best]

    def _panels(self, sample, pred: np.ndarray, truth: np.ndarray) -> dict[str, bytes]:
        image = _picture_of(sample, truth.shape)
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        error = cv2.addWeighted(grey, 0.5, np.full_like(grey, 255), 0.5, 0)
        error[pred != truth] = WRONG
        error[truth == self.ignore_index] = 0
        return {title: _jpeg(panel) for title, panel in {
            'image': image, 'truth': overlay_labels(image, truth, self.palette, OPACITY),
            'prediction': overlay_labels(image, pred, self.palette, OPACITY),
            'errors (orange; black is ignored)': error}.items()}


def _picture_of(sample, shape: tuple[int, int]) -> np.ndarray:
    """The image of a sample at the size of its labels, (H, W, 3) RGB; grey where it is no picture that can be shown."""
    try:
        image = read_image(sample.metainfo['img_path'])
    except (InputError, KeyError, TypeError):
        return np.full((*shape, 3), 128, np.uint8)
    if image.shape[:2] != shape:
        image = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA)
    return image


def _jpeg(picture: np.ndarray) -> bytes:
    scale = PANEL_SIDE / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _report(cfg: Config, checkpoint: str, dataset, statistics: Statistics, gallery: Gallery, clock: Clock,
            names_and_colors: tuple, scores: np.ndarray, amp: bool) -> Report:
    found = statistics.figures()
    classes, palette = names_and_colors
    device = torch.cuda.get_device_name(clock.device) if clock.device.type == 'cuda' else (
        f'CPU, {torch.get_num_threads()} threads')
    data = getattr(dataset, 'datasets', [dataset])[0]
    title = Path(getattr(cfg, 'filename', None) or 'model').stem
    of_all = '' if len(statistics) == len(dataset) else f' of {len(dataset)}, spread evenly'
    return Report(
        title=title,
        subtitle=f'{len(statistics)} images{of_all} of {type(data).__name__}, {len(classes)} classes, '
                 f'{datetime.now():%d %B %Y}. The ranges are 95 % confidence intervals over images (bootstrap).',
        classes=classes, palette=palette,
        figures=[Figure(name, *(float(getattr(found[name], end)) for end in ('value', 'low', 'high')), meaning)
                 for name, meaning in MEANINGS.items() if name in found],
        per_class=ClassFigures(found['IoUs'].value, found['IoUs'].low, found['IoUs'].high,
                               found['boundary IoUs'].value, found['recalls'].value, found['precisions'].value),
        matrix=statistics.matrix, scores=scores,
        reliability=None if statistics.reliability is None else statistics.reliability.sum(0),
        best=gallery.best, worst=gallery.worst, speed=clock.findings(),
        setting={'Checkpoint': Path(checkpoint).name, 'Device': device,
                 'Precision': 'mixed' if amp else 'float32',
                 'Software': f'PyTorch {torch.__version__}, Python {platform.python_version()}'},
        config=cfg.pretty_text if hasattr(cfg, 'pretty_text') else str(cfg))
