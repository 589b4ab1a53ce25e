"""Evaluate a checkpoint; save labels and pictures.

    mmseg test CONFIG CHECKPOINT
    mmseg test CONFIG CHECKPOINT --show-dir pictures     image | truth | prediction of every image
    mmseg test CONFIG CHECKPOINT --out labels            one PNG of labels for each image
    mmseg test CONFIG CHECKPOINT --tta                   average over scales and flips
    bash tools/dist_test.sh CONFIG CHECKPOINT 4          on four GPUs

For an evaluation server, which keeps the true labels to itself:
    mmseg test CONFIG CHECKPOINT --format-only --out labels
"""
from __future__ import annotations

import argparse

from mmseg.cli import common
from mmseg.utils.errors import InputError

IOU_METRICS = ('mIoU', 'mDice', 'mFscore')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='weights to evaluate')
    common.add_folders(parser)
    add_output_arguments(parser)
    parser.add_argument('--tta', '--aug-test', action='store_true', help='test-time augmentation')
    common.add_cfg_options(parser)
    common.add_launcher(parser)


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what tells where labels and pictures go and which metrics are computed."""
    parser.add_argument('--out', metavar='DIR|FILE.pkl',
                        help='write the predicted labels: PNGs into a folder, or one pickled list of arrays')
    parser.add_argument('--show-dir', metavar='DIR', help='write a picture of every image, its truth and prediction')
    parser.add_argument('--show', action='store_true', help='show the pictures in a window')
    parser.add_argument('--wait-time', type=float, default=2, metavar='SECONDS', help='time that each is shown')
    parser.add_argument('--opacity', type=float, metavar='0…1', help='how much the labels cover the image')
    parser.add_argument('--eval', nargs='+', metavar='METRIC',
                        help=f'metrics instead of those of CONFIG: {", ".join(IOU_METRICS)}, cityscapes')
    parser.add_argument('--format-only', action='store_true',
                        help='write labels as the evaluation server of the data set wants them; no metric')
    parser.add_argument('--eval-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='options of 0.x: imgfile_prefix=DIR is the folder for --format-only')


def run(args: argparse.Namespace) -> None:
    checkpoint = common.existing_file(args.checkpoint)
    cfg = common.run_config(args)
    cfg.load_from, cfg.resume = checkpoint, False
    choose_metrics(cfg, args)
    if args.show or args.show_dir:
        draw_pictures(cfg, args)
    if args.tta:
        augment(cfg)
    common.build_runner(cfg).test()


def choose_metrics(cfg, args: argparse.Namespace) -> None:
    """Set the evaluators that `--eval`, `--format-only` and `--out` ask for."""
    metrics = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
    folder = common.parse_options(args.eval_options).get('imgfile_prefix')
    pickled = bool(args.out) and args.out.endswith(('.pkl', '.pickle'))
    if args.out and not pickled:
        folder = args.out
    if args.eval:
        metrics = _named_metrics(args.eval, folder or f'{cfg.work_dir}/labels')
    if args.format_only:
        metrics = _server_metrics(cfg, metrics)
        folder = folder or f'{cfg.work_dir}/format_results'
        _leave_labels_unread(cfg.test_dataloader)
    if folder:
        common.writable_folder(folder)
        metrics = [_with_output(metric, folder) for metric in metrics]
    if pickled:
        import mmseg.cli.label_dump  # noqa: F401  (registers the metric)
        metrics = [*metrics, dict(type='LabelDump', out_file=args.out)]
    cfg.test_evaluator = metrics


def _named_metrics(names: list[str], folder: str) -> list[dict]:
    unknown = [name for name in names if name not in (*IOU_METRICS, 'cityscapes')]
    if unknown:
        raise InputError(f'--eval knows {", ".join(IOU_METRICS)} and cityscapes, found {", ".join(unknown)}')
    chosen = [name for name in names if name in IOU_METRICS]
    metrics = [dict(type='IoUMetric', iou_metrics=chosen)] if chosen else []
    return metrics + ([dict(type='CityscapesMetric', output_dir=folder)] if 'cityscapes' in names else [])


def _server_metrics(cfg, metrics: list) -> list:
    """Metrics that only write labels: those of Cityscapes in its own ids, others as the config's metric does."""
    if cfg.test_dataloader.dataset.get('type') == 'CityscapesDataset':
        metrics = [dict(type='CityscapesMetric', output_dir=None, keep_results=True)]
    return [dict(metric, format_only=True) for metric in metrics]


def _with_output(metric, folder: str) -> dict:
    """Let a metric write labels into a folder, where it is one that can."""
    import inspect

    from mmseg.registry import METRICS
    known = inspect.signature(METRICS.get(metric['type'])).parameters
    if 'output_dir' not in known:
        raise InputError(f'the metric {metric["type"]} writes no labels: use IoUMetric, or --out FILE.pkl')
    return dict(metric, output_dir=folder, **(dict(keep_results=True) if 'keep_results' in known else {}))


def _leave_labels_unread(node) -> None:
    """Let data sets do without labels: they are not looked for, and no pipeline loads them."""
    from mmseg.apis.pipeline import without_label_loading
    if isinstance(node, dict):
        if 'pipeline' in node:
            node['pipeline'], node['test_mode'] = without_label_loading(node['pipeline']), True
        node = list(node.values())
    for child in node if isinstance(node, list) else ():
        _leave_labels_unread(child)


def draw_pictures(cfg, args: argparse.Namespace) -> None:
    """Let the visualization hook draw every image of the test."""
    hook = cfg.default_hooks.setdefault('visualization', dict(type='SegVisualizationHook'))
    hook.update(draw=True, interval=1, show=args.show, wait_time=args.wait_time)
    if args.show_dir:
        hook.out_dir = str(common.writable_folder(args.show_dir))
    if args.opacity is not None:
        cfg.visualizer.alpha = args.opacity


def augment(cfg) -> None:
    """Test several views of each image: `tta_pipeline` makes them, `tta_model` averages their predictions."""
    missing = [name for name in ('tta_pipeline', 'tta_model') if name not in cfg]
    if missing:
        raise InputError(f'--tta needs {" and ".join(missing)} in {cfg.filename}: a pipeline with TestTimeAug, and '
                         'dict(type="SegTTAModel")')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.model = dict(cfg.tta_model, module=cfg.model)
