"""Draw what the network will see of a data set: each image as its file holds it, and as it comes out of the pipeline.

    mmseg browse CONFIG --output-dir pictures --count 20
    mmseg browse CONFIG --show-interval 0.5
    mmseg browse CONFIG --output-dir pictures --skip-type RandomCrop PhotoMetricDistortion

The second half of a picture is the network's own input, with padding, in its own order of bands, its normalisation
undone: wrong colours there are wrong colours in the training. Ignored pixels are black.
"""
from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from mmseg.cli import common
from mmseg.utils.errors import InputError

# What older configs have in their pipelines, and older command lines leave out.
OLD_STEPS = ('DefaultFormatBundle', 'Normalize', 'Collect')
PICTURES = ('.png', '.jpg', '.jpeg')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    common.add_config(parser)
    parser.add_argument('--output-dir', metavar='DIR', help='write the pictures there')
    parser.add_argument('--not-show', action='store_true', help='open no window')
    parser.add_argument('--show-interval', type=float, default=2, metavar='SECONDS',
                        help='how long to show a picture (2); 0 waits for a key')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train', help='whose images (train)')
    parser.add_argument('--count', type=int, metavar='N', help='draw N images, spread evenly (all)')
    parser.add_argument('--seed', type=int, default=0, help='of the augmentation (0)')
    parser.add_argument('--skip-type', nargs='+', default=list(OLD_STEPS), metavar='TRANSFORM',
                        help='leave these transforms out')
    parser.add_argument('--show-origin', action='store_true', help='draw the files alone, without any augmentation')
    parser.add_argument('--opacity', type=float, default=0.5, metavar='0…1', help='how far labels hide the image (0.5)')
    common.add_data_root(parser)
    common.add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    import numpy as np
    import torch
    from rich.console import Console
    from rich.progress import track

    from mmseg.datasets.doctor.parallel import chosen
    from mmseg.visualization import SegLocalVisualizer
    from mmseg.visualization.files import write_image
    windows = not args.not_show and has_windows()
    if not (windows or args.output_dir):
        raise InputError(f'no window {"shall" if args.not_show else "can"} be opened: give --output-dir')
    browser = Browser(common.data_config(args), args)
    if args.output_dir:
        common.writable_folder(args.output_dir)
    visualizer = SegLocalVisualizer(classes=browser.classes, palette=browser.palette)
    random.seed(args.seed)
    np.random.seed(args.seed)  # noqa: NPY002  (the generator that the transforms draw from)
    torch.manual_seed(args.seed)
    indices = chosen(len(browser), args.count)
    written: set[str] = set()
    for index in track(indices, f'Drawing {len(indices)} images', console=Console(stderr=True),
                       disable=not sys.stderr.isatty()):
        name, picture = browser.draw(index)
        if args.output_dir:
            write_image(Path(args.output_dir) / unused(name, index, written), picture)
        if windows:
            visualizer.show(picture, win_name=name, wait_time=args.show_interval)
    if args.output_dir:
        print(f'{len(indices)} pictures of {args.split}: see {args.output_dir}')


def has_windows() -> bool:
    import matplotlib

    from mmseg.visualization.local_visualizer import WITHOUT_WINDOWS
    return matplotlib.get_backend().lower() not in WITHOUT_WINDOWS


def unused(name: str, index: int, written: set[str]) -> str:
    """Return a file name for a picture that no other has: the image's own, with its number where two share it."""
    path = Path(name)
    suffix = path.suffix.lower() if path.suffix.lower() in PICTURES else '.png'
    name = path.stem + suffix if path.stem + suffix not in written else f'{path.stem}_{index}{suffix}'
    written.add(name)
    return name


class Browser:
    """The images of a split beside what becomes of them.

    Args:
        cfg: a config.
        args: those of the command.
    """

    def __init__(self, cfg, args: argparse.Namespace):
        from mmseg.datasets.doctor.configured import innermost, loading_steps
        from mmseg.datasets.transforms.compose import Compose
        from mmseg.registry import DATASETS, MODELS
        from mmseg.visualization.drawing import distinct_colors
        loader = cfg.get(f'{args.split}_dataloader')
        if not loader:
            raise InputError(f'{args.config} has no {args.split}_dataloader')
        self.opacity, self.with_input = args.opacity, not args.show_origin
        self.training = args.split == 'train'
        check_skipped(loader['dataset'], args.skip_type)
        skip_steps(loader['dataset'], args.skip_type)
        self.dataset = DATASETS.build(loader['dataset'])
        images, labels = loading_steps(next(innermost(loader['dataset'])).get('pipeline') or ())
        self.rgb = 'RSImage' in images[0]['type']  # those loaders keep the order of the file
        self.load_image, self.load_label = Compose(images), Compose([labels or dict(type='LoadAnnotations')])
        preprocessor = (cfg.get('model') or {}).get('data_preprocessor')
        self.preprocessor = MODELS.build({**preprocessor, 'batch_augments': None}) if preprocessor else None
        self.classes = self.dataset.metainfo.get('classes') or ()
        self.palette = self.dataset.metainfo.get('palette') or distinct_colors(len(self.classes))

    def __len__(self) -> int:
        return len(self.dataset)

    def draw(self, index: int) -> tuple[str, object]:
        """Return the name of an image and its picture, (H, W, 3) uint8 in RGB."""
        import numpy as np

        from mmseg.visualization.drawing import side_by_side
        loaded = self.load_image(self.dataset.get_data_info(index))
        panels = self._panels('file', as_picture(loaded['img'], rgb=self.rgb), self._labels_of(loaded))
        if self.with_input:
            panels.update(self._panels('network', *self._input(self.dataset[index])))
        labels = [panel for panel in panels.values() if panel.ndim == 2]
        present = sorted({int(label) for panel in labels for label in np.unique(panel)})
        height, width = (max(panel.shape[axis] for panel in panels.values()) for axis in (0, 1))
        pictures = {title: on_white(panel, height, width) for title, panel in self._colored(panels).items()}
        legend = [(self.classes[label], self.palette[label]) for label in present if label < len(self.classes)]
        return str(loaded.get('img_path') or index), side_by_side(pictures, legend)

    def _labels_of(self, loaded: dict):
        if 'gt_seg_map' in loaded or 'seg_map_path' not in loaded or not Path(loaded['seg_map_path']).is_file():
            return loaded.get('gt_seg_map')
        return self.load_label(loaded)['gt_seg_map']

    def _input(self, packed: dict) -> tuple:
        """Undo what the data preprocessor does to the levels, and keep what it does to size and bands."""
        inputs, sample = packed['inputs'], packed['data_samples']
        levels, conversion = inputs.dtype, False
        if self.preprocessor is not None:
            batch = self.preprocessor(dict(inputs=[inputs], data_samples=[sample]), self.training)
            inputs, (sample, *_) = batch['inputs'][0], batch['data_samples']
            conversion = self.preprocessor.channel_conversion
            if hasattr(self.preprocessor, 'mean'):
                inputs = inputs * self.preprocessor.std + self.preprocessor.mean
        image = inputs.float().numpy()
        image = image if image.ndim == 4 else image.transpose(1, 2, 0)
        label = sample.gt_sem_seg.data.squeeze(0).numpy() if 'gt_sem_seg' in sample else None
        return as_picture(image, str(levels) == 'torch.uint8', rgb=self.rgb != conversion), label

    @staticmethod
    def _panels(title: str, image, label) -> dict:
        if label is not None and label.ndim == 3:  # the middle slice of a volume
            label = label[label.shape[0] // 2]
        return {title: image, **({f'{title}: labels': label} if label is not None else {})}

    def _colored(self, panels: dict) -> dict:
        from mmseg.visualization.drawing import overlay_labels
        return {title: panel if panel.ndim == 3 else
                overlay_labels(panels[title.partition(':')[0]], panel, self.palette, self.opacity)
                for title, panel in panels.items()}


def as_picture(image, bytes_: bool | None = None, rgb: bool = False):
    """Make an array of any bands and type (H, W, 3) uint8 in RGB; of a volume (N, Z, Y, X) the middle slice.

    Args:
        bytes_: levels are those of 8 bits; others are stretched from the darkest to the brightest two percent.
        rgb: three bands are red first, not blue first.
    """
    import numpy as np
    bytes_ = image.dtype == np.uint8 if bytes_ is None else bytes_
    if image.ndim == 4:
        image = image[:, image.shape[1] // 2].transpose(1, 2, 0)
    image = np.atleast_3d(image)
    blue_first = image.shape[2] == 3 and not rgb
    image = image[..., [0, 0, 0] if image.shape[2] < 3 else [2, 1, 0] if blue_first else [0, 1, 2]]
    if not bytes_:
        low, high = np.nanpercentile(image, (2, 98))
        image = (np.nan_to_num(image.astype(np.float64)) - low) * (255 / max(high - low, 1e-9))
    return np.ascontiguousarray(np.clip(np.rint(image), 0, 255).astype(np.uint8))


def on_white(picture, height: int, width: int):
    """Put a picture into the upper left corner of a white one."""
    import numpy as np
    canvas = np.full((height, width, 3), 255, np.uint8)
    canvas[:picture.shape[0], :picture.shape[1]] = picture
    return canvas


def _pipelines(node):
    """Yield every dict inside a data set's config that has a pipeline."""
    if isinstance(node, dict):
        if 'pipeline' in node:
            yield node
        node = list(node.values())
    for child in node if isinstance(node, (list, tuple)) else ():
        yield from _pipelines(child)


def check_skipped(dataset, names: list[str]) -> None:
    """Refuse names of transforms that no pipeline has; a mistyped one would be drawn without a word."""
    there = {step['type'] for node in _pipelines(dataset) for step in node['pipeline']}
    unknown = [name for name in names if name not in (*there, *OLD_STEPS)]
    if unknown:
        raise InputError(f'--skip-type names {", ".join(unknown)}, which the pipeline does not have: it has '
                         f'{", ".join(sorted(there))}')


def skip_steps(dataset, names: list[str]) -> None:
    """Take transforms out of all pipelines of a data set's config; packing has to stay."""
    for node in _pipelines(dataset):
        node['pipeline'] = [step for step in node['pipeline'] if step['type'] not in names
                            or step['type'] == 'PackSegInputs']
