"""The predicted labels of a whole data set as one pickled list, as `--out FILE.pkl` asks."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.fileio import dump

from mmseg.registry import METRICS


@METRICS.register_module()
class LabelDump(BaseMetric):
    """Collect the labels of every image in the order of the data set and pickle the list of arrays (H, W).

    Args:
        out_file: the file to write.
    """

    default_prefix = 'labels'

    def __init__(self, out_file: str, collect_device: str = 'cpu'):
        super().__init__(collect_device)
        self.out_file = out_file

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            labels = sample['pred_sem_seg']['data'][0].cpu().numpy()
            self.results.append(labels.astype(np.uint8 if labels.max() < 256 else np.uint16))

    def compute_metrics(self, results: list) -> dict:
        dump(results, self.out_file)
        return {}
