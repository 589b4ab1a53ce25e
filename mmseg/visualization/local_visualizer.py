"""Pictures of a sample: its labels and predictions in the colours of the data set."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import wraps

import numpy as np
from mmengine.visualization import Visualizer

from mmseg.registry import VISUALIZERS
from mmseg.structures import SegDataSample
from mmseg.utils.errors import InputError
from mmseg.visualization import drawing
from mmseg.visualization.files import write_image

DEFAULT_DATASET = 'cityscapes'
WITHOUT_WINDOWS = ('agg', 'cairo', 'pdf', 'pgf', 'ps', 'svg', 'template')


def _on_current_image(method: Callable) -> Callable:
    """Let a method of mmengine's visualizer draw on the image that is current, which may wait to be handed to it."""
    @wraps(method)
    def draw(self, *args, **kwargs):
        self._hand_to_matplotlib()
        return method(self, *args, **kwargs)
    return draw


@VISUALIZERS.register_module()
class SegLocalVisualizer(Visualizer):
    """Draws truth and prediction over an image, and hands pictures to windows, files and logging backends.

    Args:
        name: of this instance.
        image: an RGB image to begin with.
        vis_backends: configs of the backends that store pictures and figures.
        save_dir: folder of the backends.
        classes: names of the classes.
        palette: their colours; made up where only names are known.
        dataset_name: take both from this data set (`'cityscapes'`, where nothing is given).
        alpha: how much the colours cover the image, 0 to 1.
    """

    def __init__(self, name: str = 'visualizer', image: np.ndarray | None = None,
                 vis_backends: list[dict] | None = None, save_dir: str | None = None,
                 classes: Sequence[str] | None = None, palette: Sequence[Sequence[int]] | None = None,
                 dataset_name: str | None = None, alpha: float = 0.8, **kwargs):
        super().__init__(name, image, vis_backends, save_dir, **kwargs)
        self.alpha = alpha
        self.set_dataset_meta(classes, palette, dataset_name)

    # A new image costs matplotlib as much as a small network; most pictures are only written, and need none of it.
    _waiting: np.ndarray | None = None
    draw_bboxes = _on_current_image(Visualizer.draw_bboxes)
    draw_binary_masks = _on_current_image(Visualizer.draw_binary_masks)
    draw_circles = _on_current_image(Visualizer.draw_circles)
    draw_lines = _on_current_image(Visualizer.draw_lines)
    draw_points = _on_current_image(Visualizer.draw_points)
    draw_polygons = _on_current_image(Visualizer.draw_polygons)
    draw_texts = _on_current_image(Visualizer.draw_texts)

    def set_image(self, image: np.ndarray) -> None:
        """Make an RGB image the current one, which `draw_…` draw on and `get_image` returns."""
        self._waiting = image.astype(np.uint8, copy=False)

    def get_image(self) -> np.ndarray:
        """Return the current image with all that was drawn on it, RGB."""
        return super().get_image() if self._waiting is None else self._waiting

    def _hand_to_matplotlib(self) -> None:
        if self._waiting is not None:
            image, self._waiting = self._waiting, None
            super().set_image(image)

    def show(self, drawn_img: np.ndarray | None = None, win_name: str = 'image', wait_time: float = 0.,
             continue_key: str = ' ', backend: str = 'matplotlib') -> None:
        """Show a picture, or the current image, for some seconds (0: until `continue_key` is pressed), if there is a
        screen; without one, warn instead of waiting for a key that nobody can press."""
        import matplotlib
        if backend == 'matplotlib' and matplotlib.get_backend().lower() in WITHOUT_WINDOWS:
            warnings.warn(f'no window can be shown here (matplotlib draws with {matplotlib.get_backend()!r}): write '
                          'pictures to files instead (out_file, --out-file or --show-dir)', stacklevel=3)
        else:
            super().show(drawn_img, win_name, wait_time, continue_key, backend)

    @property
    def dataset_meta(self) -> dict | None:
        """`classes` and `palette`; every process has them, since each may write pictures of its own images."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta

    def set_dataset_meta(self, classes: Sequence[str] | None = None, palette: Sequence[Sequence[int]] | None = None,
                         dataset_name: str | None = None) -> None:
        """Set names and colours of the classes; what is not given comes from a data set."""
        from mmseg.utils import get_classes, get_palette
        if classes is None:
            classes = get_classes(dataset_name or DEFAULT_DATASET)
            palette = palette or get_palette(dataset_name or DEFAULT_DATASET)
        elif palette is None:
            palette = get_palette(dataset_name) if dataset_name else drawing.distinct_colors(len(classes))
        if len(palette) < len(classes):
            raise InputError(f'{len(classes)} classes but {len(palette)} colours: give one colour for each class')
        self.dataset_meta = dict(classes=classes, palette=palette)

    def _names_and_colors(self) -> tuple[Sequence[str], Sequence[Sequence[int]]]:
        meta = self.dataset_meta or {}
        classes = meta.get('classes') or ()
        return classes, meta.get('palette') or drawing.distinct_colors(len(classes) or 256)

    def draw(self, image: np.ndarray, data_sample: SegDataSample | None = None, draw_gt: bool = True,
             draw_pred: bool = True, with_labels: bool = True) -> np.ndarray:
        """Draw what a sample holds, truth on the left and prediction on the right: (H, W, 3) or (H, 2 W, 3) RGB."""
        panels = self._panels(image, data_sample, draw_gt, draw_pred, with_labels)
        return np.concatenate(list(panels.values()), axis=1) if panels else image

    def draw_panels(self, image: np.ndarray, data_sample: SegDataSample) -> np.ndarray:
        """Draw image, truth and prediction beside each other, with titles and a legend of the classes in them."""
        panels = dict(image=image, **self._panels(image, data_sample, True, True, with_labels=False))
        classes, palette = self._names_and_colors()
        fields = (data_sample.get(name) for name in ('gt_sem_seg', 'pred_sem_seg'))
        present = sorted({label for field in fields if field is not None for label in np.unique(_plane(field))})
        return drawing.side_by_side(panels, [(classes[i], palette[i]) for i in present if i < len(classes)])

    def _panels(self, image: np.ndarray, sample: SegDataSample | None, draw_gt: bool, draw_pred: bool,
                with_labels: bool) -> dict[str, np.ndarray]:
        wanted = [('truth', 'gt')] * draw_gt + [('prediction', 'pred')] * draw_pred
        panels = {}
        for title, prefix in wanted if sample is not None else ():
            if f'{prefix}_sem_seg' in sample:
                panels[title] = self._draw_labels(image, _plane(sample.get(f'{prefix}_sem_seg')), with_labels)
            if f'{prefix}_depth_map' in sample:
                depth_title = f'{title}: depth' if title in panels else title
                panels[depth_title] = drawing.color_depth(_plane(sample.get(f'{prefix}_depth_map')))
        return panels

    def _draw_labels(self, image: np.ndarray, labels: np.ndarray, with_labels: bool) -> np.ndarray:
        if image.shape[:2] != labels.shape:
            raise ValueError(f'the image has {image.shape[:2]} pixels (height, width) but its labels {labels.shape}: '
                             'draw over the image in its original size')
        classes, palette = self._names_and_colors()
        picture = drawing.overlay_labels(image, labels, palette, self.alpha)
        if with_labels:
            drawing.write_names(picture, labels, classes, palette)
        return picture

    def add_datasample(self, name: str, image: np.ndarray, data_sample: SegDataSample | None = None,
                       draw_gt: bool = True, draw_pred: bool = True, show: bool = False, wait_time: float = 0,
                       out_file: str | None = None, step: int = 0, with_labels: bool | None = True) -> None:
        """Draw a sample, then show the picture, or write it, or hand it to the backends.

        Args:
            name: title of the picture.
            image: (H, W, 3) uint8, RGB.
            data_sample: may hold `gt_sem_seg`, `pred_sem_seg`, `gt_depth_map` and `pred_depth_map`.
            show: in a window, for `wait_time` seconds (0: until a key is pressed).
            out_file: write here instead of handing it to the backends.
            step: iteration that the backends note.
            with_labels: write the names of the classes into their regions.
        """
        picture = self.draw(image, data_sample, draw_gt, draw_pred, bool(with_labels))
        self.publish(name, picture, show, wait_time, out_file, step)

    def publish(self, name: str, picture: np.ndarray, show: bool = False, wait_time: float = 0,
                out_file: str | None = None, step: int = 0) -> None:
        """Make a picture the current one (`get_image`), and show it, write it or hand it to the backends."""
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_image(out_file, picture)
        else:
            self.add_image(name, picture, step)


def _plane(field) -> np.ndarray:
    """The labels or depths (H, W) of a PixelData on any device."""
    data = field.data
    data = data.detach().cpu().numpy() if hasattr(data, 'detach') else np.asarray(data)
    return data.reshape(data.shape[-2:])
