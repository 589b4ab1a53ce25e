"""A segmentation task of a second: coloured squares, a network of two convolutions with everything that is random."""
from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from mmseg.registry import DATASETS, METRICS, MODELS


@DATASETS.register_module(force=True)
class ToySquares(Dataset):
    """Images whose left half has class 0 and right half class 1, with noise from all three generators."""

    METAINFO = dict(classes=('left', 'right'), palette=[[0, 0, 0], [255, 255, 255]])

    def __init__(self, size: int = 12, noisy: bool = True, metainfo: dict | None = None):
        self.size, self.noisy = size, noisy
        self.metainfo = {**self.METAINFO, **(metainfo or {})}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict:
        label = np.zeros((8, 8), np.int64)
        label[:, 4:] = 1
        image = np.stack([label, 1 - label, label * 0 + index / self.size])
        if self.noisy:
            image += random.random() + np.random.rand(*image.shape)  # noqa: NPY002
            image += torch.rand(image.shape).numpy()
        return dict(inputs=torch.from_numpy(image).float(),
                    data_samples=dict(label=torch.from_numpy(label), index=index))


class ToyHead(nn.Module):

    def __init__(self, num_classes: int | None = 2, out_channels: int | None = None):
        super().__init__()
        self.num_classes, self.out_channels = num_classes, out_channels or num_classes
        self.conv_seg = nn.Conv2d(4, self.out_channels, 1)

    def forward(self, features):
        return self.conv_seg(features)


@MODELS.register_module(force=True)
class ToySegmentor(BaseModel):
    """Convolution, batch normalisation, dropout, classifier."""

    def __init__(self, decode_head: dict | None = None, dropout: float = 0.5, sync: bool = False, poison_at: int = -1,
                 frozen_norm: bool = False, data_preprocessor: dict | None = None):
        super().__init__(data_preprocessor)
        norm = nn.SyncBatchNorm if sync else nn.BatchNorm2d
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), norm(4), nn.ReLU(), nn.Dropout(dropout))
        self.decode_head = ToyHead(**(decode_head or {}))
        self.poison_at, self.frozen_norm, self.steps = poison_at, frozen_norm, 0

    def train(self, mode: bool = True):
        super().train(mode)
        if self.frozen_norm:
            self.backbone[1].eval()
        return self

    def forward(self, inputs, data_samples=None, mode: str = 'tensor'):
        images = torch.stack(list(inputs))
        logits = self.decode_head(self.backbone(images))
        if mode == 'tensor':
            return logits
        if mode == 'predict':
            return [dict(right=int((part == label).sum()), index=int(index))
                    for part, label, index in zip(logits.argmax(1), data_samples['label'], data_samples['index'])]
        loss = F.cross_entropy(logits, torch.stack(list(data_samples['label'])))
        self.steps += 1
        if self.steps - 1 == self.poison_at:
            loss = loss * float('nan')
        return {'decode.loss_ce': loss, 'decode.acc_seg': (logits.argmax(1) == 0).float().mean()}


@METRICS.register_module(force=True)
class ToyAccuracy(BaseMetric):
    """Right pixels of all samples, and how many samples were seen."""

    def process(self, data_batch, data_samples) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results: list) -> dict:
        return dict(mIoU=sum(result['right'] for result in results) / (64 * len(results)), samples=len(results))


def toy_config(work_dir, **changes) -> dict:
    """A config of 20 iterations on :class:`ToySquares`; `changes` replace its fields."""
    loader = dict(batch_size=2, num_workers=0, dataset=dict(type='ToySquares'))
    config = dict(
        model=dict(type='ToySegmentor'), work_dir=str(work_dir), log_level='WARNING', default_scope='mmseg',
        train_dataloader=dict(loader, sampler=dict(type='InfiniteSampler', shuffle=True)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=20, val_interval=1000),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=[dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=20, by_epoch=False)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=10),
                           logger=dict(type='LoggerHook', interval=5)),
        log_processor=dict(by_epoch=False), randomness=dict(seed=3))
    config.update(changes)
    return config


def with_validation(config: dict, size: int = 5, interval: int = 10) -> dict:
    """The config with a validation of `size` samples every `interval` iterations."""
    loader = dict(batch_size=2, num_workers=0, dataset=dict(type='ToySquares', size=size),
                  sampler=dict(type='DefaultSampler', shuffle=False))
    return dict(config, val_dataloader=loader, val_cfg=dict(), val_evaluator=dict(type='ToyAccuracy'),
                train_cfg=dict(config['train_cfg'], val_interval=interval))
