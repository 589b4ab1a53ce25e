"""List the published configs with their figures and weights.

    mmseg models
    mmseg models segformer --dataset ADE20K --sort mIoU
    mmseg models 'pspnet_r50*cityscapes*' --format json

PATTERN is part of a name, with * for anything. A listed name stands for its config in every command, and
`init_model(NAME, pretrained=True)` fetches its weights.
"""
from __future__ import annotations

import argparse
import fnmatch
import json

from mmseg.utils.errors import InputError

COLUMNS = ('config', 'dataset', 'mIoU', 'mIoU(ms+flip)', 'parameters/M', 'memory/GB')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('pattern', nargs='?', default='', metavar='PATTERN', help='part of the name (all)')
    parser.add_argument('--dataset', metavar='NAME', help='only those measured on this data set, such as ADE20K')
    parser.add_argument('--weights', action='store_true', help='only those with weights, and their addresses')
    parser.add_argument('--sort', choices=('name', 'mIoU', 'parameters', 'memory'), default='name',
                        help='by name, from the best, from the smallest (name)')
    parser.add_argument('--format', choices=('text', 'markdown', 'json'), default='text', help='of the table')


def run(args: argparse.Namespace) -> None:
    from mmseg.cli.benchmark import as_markdown, as_text
    models = chosen_models(args)
    if not models:
        raise InputError(f'no published config matches {args.pattern!r}'
                         + (f' on {args.dataset}' if args.dataset else '') + ': `mmseg models` lists them all')
    if args.format == 'json':
        print(json.dumps([as_data(model) for model in models], indent=1, ensure_ascii=False))
        return
    rows = [row_of(model, args.weights) for model in models]
    print((as_markdown if args.format == 'markdown' else as_text)(rows))
    if args.format == 'text':
        print(f'\n{len(rows)} configs, {sum(model.weights is not None for model in models)} with weights')


def chosen_models(args: argparse.Namespace) -> list:
    """Return the models that the arguments ask for, in their order."""
    from mmseg.utils.config import configs_folder, known_configs
    from mmseg.utils.model_zoo import PublishedModel, published_models
    table = published_models(configs_folder())
    models = [table.get(name) or PublishedModel(name) for name in known_configs()]
    pattern = f'*{args.pattern.removesuffix(".py").lower()}*'
    models = [model for model in models if fnmatch.fnmatchcase(model.name.lower(), pattern)]
    if args.dataset:
        models = [model for model in models if (model.dataset or '').lower() == args.dataset.lower()]
    if args.weights:
        models = [model for model in models if model.weights]
    keys = dict(name=lambda model: 0, mIoU=lambda model: -model.metrics.get('mIoU', -1),
                parameters=lambda model: model.parameters or float('inf'),
                memory=lambda model: model.memory or float('inf'))
    return sorted(models, key=keys[args.sort])


def row_of(model, weights: bool) -> dict:
    """Return a model's row of the table; other metrics than mIoU stand in that column with their name."""
    best, flipped = (model.metrics.get(name) for name in ('mIoU', 'mIoU(ms+flip)'))
    if best is None and model.metrics:
        best = ' '.join(f'{name} {value}' for name, value in model.metrics.items())
    figures = (model.name, model.dataset, best, flipped, model.parameters, model.memory)
    row = {name: '-' if figure is None else figure for name, figure in zip(COLUMNS, figures)}
    return {**row, 'weights': model.weights or '-'} if weights else row


def as_data(model) -> dict:
    """Return everything that is known of a model."""
    title, address = model.paper or (None, None)
    return dict(config=model.name, dataset=model.dataset, metrics=dict(model.metrics), parameters=model.parameters,
                memory=model.memory, weights=model.weights, paper=title, paper_url=address)
