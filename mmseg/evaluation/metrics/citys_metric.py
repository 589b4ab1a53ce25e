"""Evaluation of Cityscapes by its official scripts."""
from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmseg.registry import METRICS

from .png import write_png

SCORES = ('averageScoreClasses', 'averageScoreInstClasses', 'averageScoreCategories', 'averageScoreInstCategories')


def _scripts():
    """The official scripts, which are an optional dependency."""
    try:
        import cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling as evaluation
        import cityscapesscripts.helpers.labels as labels
    except ImportError as error:
        raise ImportError('CityscapesMetric runs the official scripts: pip install cityscapesscripts') from error
    if not hasattr(evaluation.np, 'in1d'):  # gone from NumPy 2.4; the scripts call it
        evaluation.np = SimpleNamespace(**vars(np), in1d=np.isin)
    return evaluation, labels


@METRICS.register_module()
class CityscapesMetric(BaseMetric):
    """Scores of the official scripts, and the files that the evaluation server takes.

    Predictions are written as PNGs of the official ids, and compared with the `*_gtFine_labelIds.png` that lie beside
    the `*_gtFine_labelTrainIds.png` of the data set.

    Args:
        output_dir: folder of the predictions.
        ignore_index: not used: the scripts know what they ignore.
        format_only: only write the predictions; there are no labels. Needs `keep_results=True`.
        keep_results: whether the predictions stay after the evaluation.
    """

    def __init__(self, output_dir: str, ignore_index: int = 255, format_only: bool = False, keep_results: bool = False,
                 collect_device: str = 'cpu', prefix: str | None = None, **kwargs):
        super().__init__(collect_device, prefix)
        if format_only and not keep_results:
            raise ValueError('format_only=True with keep_results=False would write the predictions and remove them: '
                             'set keep_results=True')
        _, labels = _scripts()
        self.output_dir = output_dir
        self.ignore_index = ignore_index
        self.format_only = format_only
        self.keep_results = keep_results
        self._official_id = np.arange(256, dtype=np.uint8)
        for train_id, label in labels.trainId2label.items():
            if train_id >= 0:
                self._official_id[train_id] = label.id

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Write the prediction of each sample, and remember its file and that of its label."""
        for sample in data_samples:
            pred = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()  # 1 H W -> H W
            path = write_png(self.output_dir, sample['img_path'], self._official_id[pred])
            truth = '' if self.format_only else sample['seg_map_path'].replace('labelTrainIds.png', 'labelIds.png')
            self.results.append((path, truth))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Run the official scripts over pairs of files: prediction, label."""
        if self.format_only:
            print_log(f'the predictions are in {self.output_dir}', 'current')
            return {}
        evaluation, _ = _scripts()
        args = copy.copy(evaluation.args)
        args.evalInstLevelScore = args.evalPixelAccuracy = True
        args.predictionPath = str(Path(self.output_dir).resolve())
        args.JSONOutput = False
        print_log(f'the Cityscapes scripts evaluate {len(results)} predictions in {self.output_dir}', 'current')
        predictions, truths = map(list, zip(*results))
        scores = evaluation.evaluateImgLists(predictions, truths, args)
        return {name: scores[name] for name in SCORES}

    def evaluate(self, size: int) -> dict[str, float]:
        """Scores of the predictions of all processes; an image that two of them predicted counts once."""
        results = sorted(set(chain.from_iterable(all_gather_object(self.results))))
        metrics = [None]
        if is_main_process():
            scores = self.compute_metrics(results)
            metrics = [{f'{self.prefix}/{name}': value for name, value in scores.items()} if self.prefix else scores]
            if not self.keep_results:
                self._remove(path for path, _ in results)
        broadcast_object_list(metrics)
        self.results.clear()
        return metrics[0]

    def _remove(self, paths) -> None:
        """Remove the predictions, and their folder if nothing else is in it."""
        for path in paths:
            Path(path).unlink(missing_ok=True)
        folder = Path(self.output_dir)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
