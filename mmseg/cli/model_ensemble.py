"""Predict the test images with several models at once: the mean of their probabilities decides.

    mmseg model-ensemble CONFIG CHECKPOINT CONFIG CHECKPOINT --out labels
    mmseg model-ensemble --config A.py B.py --checkpoint A.pth B.pth --out labels --tta

Images, truth and metrics are those of the first config; each model prepares the images as its own config says. Into the
folder go PNGs of the numbers of the classes; the metrics are printed where there is truth.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmseg.cli import common
from mmseg.utils.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('models', nargs='*', metavar='CONFIG CHECKPOINT', help='two models or more')
    parser.add_argument('--config', nargs='+', default=[], metavar='CONFIG', help='their configs, in another way')
    parser.add_argument('--checkpoint', nargs='+', default=[], metavar='CHECKPOINT', help='their checkpoints')
    parser.add_argument('--out', metavar='DIR', help='write the labels as PNGs into this folder')
    parser.add_argument('--tta', '--aug-test', action='store_true', help='average over scales and flips too')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 … (a GPU if there is one)')
    parser.add_argument('--gpus', type=int, nargs='+', metavar='N', help='the first of them is taken, as --device')
    parser.add_argument('--no-metrics', action='store_true', help='write labels only; no truth is read')
    common.add_data_root(parser)
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    from mmseg.apis.inference import choose_device
    pairs = pair_up(args)
    device = choose_device(args.device or (f'cuda:{args.gpus[0]}' if args.gpus else None))
    if args.out:
        common.writable_folder(args.out)
    elif args.no_metrics:
        raise InputError('--no-metrics without --out leaves nothing to do: give --out DIR')
    members = [Member(config, checkpoint, device, args) for config, checkpoint in pairs]
    classes = [len(member.model.dataset_meta['classes']) for member in members]
    if len(set(classes)) > 1:
        found = ', '.join(f'{count} of {config}' for count, (config, _) in zip(classes, pairs))
        raise InputError(f'the models of an ensemble must tell the same classes apart, found {found}')
    figures = predict_all(members, args)
    for name, value in figures.items():
        print(f'{name}: {value}')
    if args.out:
        print(f'{len(members[0].dataset)} images labelled by {len(members)} models: see {args.out}')


def pair_up(args: argparse.Namespace) -> list[tuple[str, str]]:
    """Return configs and checkpoints in pairs."""
    configs = [*args.models[::2], *args.config]
    checkpoints = [*args.models[1::2], *args.checkpoint]
    if len(configs) != len(checkpoints) or len(configs) < 2:
        raise InputError(f'an ensemble takes two models or more, each a config and its checkpoint; found '
                         f'{len(configs)} configs and {len(checkpoints)} checkpoints')
    return [(config, common.existing_file(checkpoint)) for config, checkpoint in zip(configs, checkpoints)]


class Member:
    """A model of an ensemble, and the images of the data set as its config prepares them.

    Args:
        config, checkpoint: of the model.
        device: where it runs.
        args: of the command.
    """

    def __init__(self, config: str, checkpoint: str, device: str, args: argparse.Namespace):
        from mmseg.apis.inference import load_model
        from mmseg.apis.pipeline import test_steps, without_label_loading
        args.config = config
        self.cfg = common.data_config(args)
        if not self.cfg.get('test_dataloader'):
            raise InputError(f'{config} has no test_dataloader, so there are no images to predict')
        if args.tta and 'tta_pipeline' not in self.cfg:
            raise InputError(f'--tta needs tta_pipeline in {config}: a pipeline with TestTimeAug')
        self.model = load_model(self.cfg, checkpoint, device)
        self.pipeline = self.cfg.tta_pipeline if args.tta else test_steps(self.cfg)
        if args.no_metrics:
            self.pipeline = without_label_loading(self.pipeline)

    def open(self, dataset: dict) -> None:
        """Prepare the images of a data set, given as a config, by this model's pipeline."""
        from mmseg.registry import DATASETS
        self.dataset = DATASETS.build(self._prepared(dataset))

    def _prepared(self, dataset: dict) -> dict:
        """Put the pipeline into a data set's config, nested as it may be."""
        if 'datasets' in dataset:
            return dict(dataset, datasets=[self._prepared(one) for one in dataset['datasets']])
        if 'dataset' in dataset:
            return dict(dataset, dataset=self._prepared(dataset['dataset']))
        return dict(dataset, pipeline=self.pipeline)

    def views(self, index: int) -> list:
        """Predict the views of an image, one or several; each sample has logits (C, H, W) of its size."""
        item = self.dataset[index]
        inputs, samples = ([value] if not isinstance(value, Sequence) else list(value)
                           for value in (item['inputs'], item['data_samples']))
        return [self.model.test_step(dict(inputs=[view], data_samples=[sample]))[0]
                for view, sample in zip(inputs, samples)]


def predict_all(members: list[Member], args: argparse.Namespace) -> dict[str, float]:
    """Predict every image with all members; returns the metrics of the first config."""
    import torch
    from mmengine.evaluator import Evaluator
    from mmengine.structures import PixelData
    from rich.progress import track

    from mmseg.ops import average_views
    first = members[0]
    for member in members:
        member.open(first.cfg.test_dataloader.dataset)
    dataset, model = first.dataset, first.model
    evaluator = None if args.no_metrics else Evaluator(first.cfg.test_evaluator)
    if evaluator is not None:
        evaluator.dataset_meta = dataset.metainfo
    for index in track(range(len(dataset)), description='Predicting'):
        with torch.no_grad():
            views = [view for member in members for view in member.views(index)]
            labels = average_views([view.seg_logits.data.to(views[0].seg_logits.data) for view in views],
                                   getattr(model, 'threshold', None))
        sample = views[0]
        sample.pred_sem_seg = PixelData(data=labels)
        if args.out:
            write_labels(sample, Path(args.out))
        if evaluator is not None:
            evaluator.process([sample], None)
    return {} if evaluator is None else evaluator.evaluate(len(dataset))


def write_labels(sample, folder: Path) -> None:
    """Write the labels of a sample under the name of its image, as `mmseg test --out` does."""
    import numpy as np

    from mmseg.visualization.files import write_image
    labels = sample.pred_sem_seg.data[0].cpu().numpy() + int(bool(sample.metainfo.get('reduce_zero_label')))
    write_image(folder / f'{Path(sample.metainfo["img_path"]).stem}.png',
                labels.astype(np.uint8 if labels.max() < 256 else np.uint16))
