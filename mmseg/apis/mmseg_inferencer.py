"""Predict files, folders, arrays or lists of them in one call, and save labels and pictures."""
from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mmengine.infer import BaseInferencer

from mmseg.apis.inference import choose_device, load_model
from mmseg.apis.pipeline import ImagePipeline, images_in, predict_prepared
from mmseg.apis.speed import accelerate
from mmseg.registry import INFERENCERS
from mmseg.structures import SegDataSample
from mmseg.utils.config import find_config, known_configs, read_config
from mmseg.visualization import SegLocalVisualizer
from mmseg.visualization.files import read_image, write_image

if TYPE_CHECKING:
    from mmengine.config import Config, ConfigDict

    from mmseg.models.segmentors.base import BaseSegmentor


def published_weights(config_file: Path) -> str | None:
    """Return the address of the weights that the metafile beside a config names, or None."""
    from mmengine.fileio import load
    for metafile in sorted(config_file.parent.glob('metafile.y*ml')):
        content = load(str(metafile))
        for model in content.get('Models', content) if isinstance(content, dict) else content:
            if model['Name'] == config_file.stem:
                weights = model.get('Weights')
                return weights[0] if isinstance(weights, list) else weights
    return None


@INFERENCERS.register_module()
class MMSegInferencer(BaseInferencer):
    """Predicts whatever it is called with: a path, a folder, an array (H, W, 3) in BGR, or a list of these.

    >>> inferencer = MMSegInferencer('fcn_r50-d8_4xb2-40k_cityscapes-512x1024', 'iter_40000.pth')
    >>> inferencer('street.jpg', out_dir='labelled')['predictions'].shape
    (1024, 2048)

    Args:
        model: config, its path, or the name of a published one.
        weights: path or address of the checkpoint; for a published name, the published one.
        classes: names of the classes, where they differ from those in the checkpoint; or the name of a data set.
        palette: their colours, or the name of a data set.
        dataset_name: take names and colours from this data set.
        device: where to run; None chooses a GPU where there is one.
        scope: registry in which the types of the config are looked up first.
    """

    preprocess_kwargs: set = set()
    forward_kwargs: set = {'mode', 'out_dir'}
    visualize_kwargs: set = {'show', 'wait_time', 'img_out_dir', 'opacity', 'return_vis', 'with_labels'}
    postprocess_kwargs: set = {'pred_out_dir', 'return_datasample'}

    def __init__(self, model: dict | Config | ConfigDict | str, weights: str | None = None,
                 classes: str | list | None = None, palette: str | list | None = None, dataset_name: str | None = None,
                 device: str | None = None, scope: str | None = 'mmseg'):
        from mmengine.config import Config
        if isinstance(model, (str, os.PathLike)):
            file = find_config(model)
            model, weights = read_config(file), weights or published_weights(file)
        elif not isinstance(model, Config):
            model = Config(model)
        self.num_visualized_imgs = self.num_pred_imgs = 0
        self._classes, self._palette, self._dataset_name = classes, palette, dataset_name
        super().__init__(model, weights, choose_device(device), scope)

    def __call__(self, inputs: str | np.ndarray | Sequence[str | np.ndarray], return_datasamples: bool = False,
                 batch_size: int = 1, return_vis: bool = False, show: bool = False, wait_time: int = 0,
                 out_dir: str = '', img_out_dir: str = 'vis', pred_out_dir: str = 'pred',
                 **kwargs) -> dict | SegDataSample | list[SegDataSample]:
        """Predict, and save or show what is wanted.

        Args:
            inputs: image, folder of images, or list of images.
            return_datasamples: return samples instead of the dict.
            batch_size: images prepared at a time; those of one size go through the network together.
            return_vis: put the pictures into the result.
            show: each picture, for `wait_time` seconds.
            out_dir: folder for the results; nothing is written without it.
            img_out_dir: its subfolder for pictures ('' for none).
            pred_out_dir: its subfolder for labels ('' for none).
            **kwargs: `opacity` and `with_labels` of :meth:`visualize`.

        Returns:
            `predictions`, the labels (H, W), and `visualization`, the pictures: a list of each, or for a single image
            the thing itself.
        """
        folders = {key: os.path.join(out_dir, name) if out_dir and name else ''
                   for key, name in dict(img_out_dir=img_out_dir, pred_out_dir=pred_out_dir).items()}
        return super().__call__(inputs, return_datasamples, batch_size, return_vis=return_vis, show=show,
                                wait_time=wait_time, **folders, **kwargs)

    def _inputs_to_list(self, inputs) -> list:
        if isinstance(inputs, (str, os.PathLike)) and os.path.isdir(inputs):
            return images_in(inputs)
        return list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]

    def _init_model(self, cfg: Config, weights: str | None, device: str = 'cpu') -> BaseSegmentor:
        return accelerate(load_model(cfg, weights, device))

    def _init_pipeline(self, cfg: Config) -> Callable:
        return ImagePipeline(cfg)

    def _init_collate(self, cfg: Config) -> Callable:
        return list  # images are put together by size, in `forward`

    def _init_visualizer(self, cfg: Config) -> SegLocalVisualizer:
        from mmseg.registry import VISUALIZERS
        kind = VISUALIZERS.get((cfg.get('visualizer') or {}).get('type', 'SegLocalVisualizer'))
        visualizer = kind(name=f'inferencer-{id(self)}')
        visualizer.dataset_meta = self.model.dataset_meta
        if self._classes or self._palette or self._dataset_name:
            from mmseg.utils import get_classes, get_palette
            classes, palette, name = self._classes, self._palette, self._dataset_name
            classes = get_classes(classes) if isinstance(classes, str) else classes
            palette = get_palette(palette) if isinstance(palette, str) else palette
            known = self.model.dataset_meta['classes'] if classes is None and name is None else classes
            visualizer.set_dataset_meta(known, palette, name)
        return visualizer

    def preprocess(self, inputs: list, batch_size: int = 1, **kwargs) -> Iterator[list[dict]]:
        """Prepare the images, `batch_size` at a time."""
        yield from self._get_chunk_data(map(self.pipeline, inputs), batch_size)

    def forward(self, inputs: list[dict], **kwargs) -> list[SegDataSample]:
        """Predict prepared images."""
        return [sample.cpu() for sample in predict_prepared(self.model, inputs)]

    def visualize(self, inputs: list, preds: list[SegDataSample], return_vis: bool = False, show: bool = False,
                  wait_time: int = 0, img_out_dir: str = '', opacity: float = 0.8,
                  with_labels: bool | None = True) -> list[np.ndarray] | None:
        """Draw the predictions over their images.

        Returns:
            The pictures, RGB, with `return_vis`; otherwise they are only shown or written.
        """
        if not (return_vis or show or img_out_dir):
            return None
        self.visualizer.alpha = opacity
        pictures = []
        for source, sample in zip(inputs, preds):
            image = source[..., ::-1] if isinstance(source, np.ndarray) else read_image(source)
            picture = self.visualizer.draw(np.ascontiguousarray(image), sample, with_labels=bool(with_labels))
            name = self._name(source, self.num_visualized_imgs, 'vis')
            out_file = os.path.join(img_out_dir, f'{name}.jpg') if img_out_dir else None
            self.visualizer.publish(name, picture, show, wait_time, out_file)
            self.num_visualized_imgs += 1
            pictures += [picture] if return_vis else []
        return pictures if return_vis else None

    @staticmethod
    def _name(source, number: int, kind: str) -> str:
        """Files keep their name; an array is called by its number."""
        return f'{number:08d}_{kind}' if isinstance(source, np.ndarray) else Path(source).stem

    def postprocess(self, preds: list[SegDataSample], visualization: list[np.ndarray] | None,
                    return_datasample: bool = False,
                    pred_out_dir: str = '') -> dict | SegDataSample | list[SegDataSample]:
        """Write labels as PNG (depth maps as .npy) into `pred_out_dir` and collect the results.

        Returns:
            See :meth:`__call__`.
        """
        labels = [self._array(sample) for sample in preds]
        for sample, array in zip(preds, labels) if pred_out_dir else ():
            name = self._name(sample.metainfo.get('img_path') or array, self.num_pred_imgs, 'pred')
            _write_array(os.path.join(pred_out_dir, name), array)
            self.num_pred_imgs += 1
        if return_datasample:
            return preds[0] if len(preds) == 1 else preds
        results = dict(predictions=labels, visualization=visualization or [])
        return {key: value[0] if len(value) == 1 else value for key, value in results.items()}

    @staticmethod
    def _array(sample: SegDataSample) -> np.ndarray:
        field = sample.pred_sem_seg if 'pred_sem_seg' in sample else sample.pred_depth_map
        data = np.asarray(field.data)
        return data.reshape(data.shape[-2:])

    @staticmethod
    def list_models(scope: str | None = 'mmseg', patterns: str = r'.*') -> list[str]:
        """List the names of the published configs that match a regular expression from their start."""
        if scope not in (None, 'mmseg'):
            return BaseInferencer.list_models(scope, patterns)
        return [file.stem for file in known_configs().values() if re.match(patterns, file.stem)]


def _write_array(stem: str, array: np.ndarray) -> None:
    """Write labels as PNG, 8 bits where they suffice, and other numbers as .npy."""
    if np.issubdtype(array.dtype, np.floating) and not np.array_equal(array, array.round()):
        Path(stem).parent.mkdir(parents=True, exist_ok=True)
        np.save(f'{stem}.npy', array)
    else:
        write_image(f'{stem}.png', array.astype(np.uint8 if array.max() < 256 else np.uint16))
