"""Predict images, folders, patterns, arrays and videos in one call, and save labels, pictures and probabilities."""
from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmengine.infer import BaseInferencer

from mmseg.apis import sources
from mmseg.apis.inference import choose_device, load_model
from mmseg.apis.pipeline import ImagePipeline, predict_prepared
from mmseg.apis.sources import Picture
from mmseg.apis.speed import accelerate
from mmseg.apis.video import VideoSink
from mmseg.registry import INFERENCERS
from mmseg.structures import SegDataSample
from mmseg.utils.config import find_config, known_configs, read_config
from mmseg.utils.errors import InputError
from mmseg.utils.model_zoo import weights_of_config
from mmseg.visualization import SegLocalVisualizer
from mmseg.visualization.drawing import color_labels
from mmseg.visualization.files import read_image, write_image

if TYPE_CHECKING:
    from mmengine.config import Config, ConfigDict

    from mmseg.models.segmentors.base import BaseSegmentor

# Beside labels and pictures: what a prediction can also be asked for, and the subfolder in which it is written.
EXTRAS = ('colors', 'probabilities', 'confidence')


@INFERENCERS.register_module()
class MMSegInferencer(BaseInferencer):
    """Predicts whatever it is called with: a path, a folder, a pattern, a video, an array (H, W, 3) in BGR, or several.

    >>> inferencer = MMSegInferencer('fcn_r50-d8_4xb2-40k_cityscapes-512x1024', 'iter_40000.pth')
    >>> inferencer('street.jpg', out_dir='labelled')['predictions'].shape
    (1024, 2048)
    >>> for frame in inferencer.stream('drive.mp4', out_dir='labelled'):  # memory does not grow
    ...     print(frame['predictions'].mean())

    Args:
        model: config, its path, or the name of a published one.
        weights: path or address of the checkpoint; for a published name, the published one.
        classes: names of the classes, where they differ from those in the checkpoint; or the name of a data set.
        palette: their colours, the name of a data set, or a file of colours (:func:`mmseg.apis.sources.read_palette`).
        dataset_name: take names and colours from this data set.
        device: where to run; None chooses a GPU where there is one.
        scope: registry in which the types of the config are looked up first.
        amp: whether to compute in float16 on a GPU and in bfloat16 on a CPU.
    """

    preprocess_kwargs: set = set()
    forward_kwargs: set = {'mode', 'out_dir'}
    visualize_kwargs: set = {'show', 'wait_time', 'img_out_dir', 'opacity', 'return_vis', 'with_labels'}
    postprocess_kwargs: set = {'pred_out_dir', 'return_datasample', 'extras', 'extras_dir'}

    def __init__(self, model: dict | Config | ConfigDict | str, weights: str | None = None,
                 classes: str | list | None = None, palette: str | list | None = None, dataset_name: str | None = None,
                 device: str | None = None, scope: str | None = 'mmseg', amp: bool = False):
        from mmengine.config import Config
        if isinstance(model, (str, os.PathLike)):
            file = find_config(model)
            model, weights = read_config(file), weights or weights_of_config(file)
        elif not isinstance(model, Config):
            model = Config(model)
        self.amp = amp
        self.num_visualized_imgs = self.num_pred_imgs = 0
        self._film: tuple[object, VideoSink] | None = None
        self._classes, self._palette, self._dataset_name = classes, palette, dataset_name
        super().__init__(model, weights, choose_device(device), scope)

    def __call__(self, inputs, return_datasamples: bool = False, batch_size: int = 1, return_vis: bool = False,
                 show: bool = False, wait_time: int = 0, out_dir: str = '', img_out_dir: str = 'vis',
                 pred_out_dir: str = 'pred', **options) -> dict | SegDataSample | list[SegDataSample]:
        """Predict, and save or show what is wanted.

        Args:
            inputs: image, folder, pattern such as `'photos/*.jpg'`, video, array, or a list of them.
            return_datasamples: return samples instead of the dict.
            batch_size: images prepared at a time; those of one size go through the network together.
            return_vis: put the pictures into the result.
            show: each picture, for `wait_time` seconds.
            out_dir, img_out_dir, pred_out_dir: as those of :meth:`stream`.
            **options: `opacity`, `with_labels`, `extras` and `on_error` of :meth:`stream`.

        Returns:
            `predictions`, the labels (H, W), `visualization`, the pictures, and the `extras` that were asked for: a
            list of each, or for a single image the thing itself.
        """
        listed = sources.expand(inputs)
        results = self.stream(
            listed, batch_size, out_dir=out_dir, img_out_dir=img_out_dir, pred_out_dir=pred_out_dir, show=show,
            return_datasample=return_datasamples, return_vis=return_vis, wait_time=wait_time, **options)
        if self.show_progress:
            from rich.progress import track
            results = track(results, 'Inference', sources.count(listed))
        results = list(results)
        if len(results) == 1:
            return results[0]
        if return_datasamples:
            return results
        merged = {key: [result[key] for result in results]
                  for key in (results[0] if results else ('predictions', 'visualization'))}
        return merged if return_vis else dict(merged, visualization=[])

    def stream(self, inputs, batch_size: int = 1, on_error: sources.OnError | None = None, out_dir: str = '',
               img_out_dir: str = 'vis', pred_out_dir: str = 'pred', **options) -> Iterator[dict | SegDataSample]:
        """Predict one image after the other, however many: yield what a call with that image alone would return.

        Args:
            inputs: as those of a call, or anything that yields images.
            batch_size: as that of a call.
            on_error: called with an image or video that cannot be read, and the error; the rest goes on. Without it the
                error is raised.
            out_dir: folder for the results; nothing is written without it.
            img_out_dir: its subfolder for pictures ('' for none); those of a video's frames become a video.
            pred_out_dir: its subfolder for labels ('' for none).
            **options: `return_vis` puts pictures into the results; `show` shows each for `wait_time` seconds; `opacity`
                and `with_labels` are those of :meth:`visualize`, `extras` that of :meth:`postprocess`.
        """
        folders = {key: os.path.join(out_dir, name) if out_dir and name else ''
                   for key, name in dict(img_out_dir=img_out_dir, pred_out_dir=pred_out_dir).items()}
        _, _, drawing, saving = self._dispatch_kwargs(extras_dir=out_dir, **folders, **options)
        readable = self._readable(sources.pictures(sources.expand(inputs), on_error), on_error)
        return self._stream(readable, batch_size, drawing, saving)

    def _stream(self, readable: Iterator[tuple[Picture, dict]], batch_size: int, drawing: dict,
                saving: dict) -> Iterator[dict | SegDataSample]:
        try:
            while batch := list(islice(readable, batch_size)):
                given = [picture for picture, _ in batch]
                samples = self.forward([item for _, item in batch])
                for picture, sample in zip(given, samples):
                    if picture.name:
                        sample.set_metainfo(dict(output_name=picture.name))
                    yield self.postprocess([sample], self.visualize([picture], [sample], **drawing), **saving)
        finally:
            self._finish_film()

    def _readable(self, pictures: Iterator[Picture],
                  on_error: sources.OnError | None) -> Iterator[tuple[Picture, dict]]:
        """Prepare pictures for the network; those that cannot be read are told and left out."""
        for picture in pictures:
            try:
                prepared = self.pipeline(picture.image)
            except InputError as error:
                if on_error is None:
                    raise
                on_error(picture.image, error)
            else:
                yield picture, prepared

    def _inputs_to_list(self, inputs) -> list:
        return list(sources.expand(inputs))

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
            visualizer.set_dataset_meta(*self._names_and_colors())
        return visualizer

    def _names_and_colors(self) -> tuple[Sequence[str], Sequence[Sequence[int]] | None]:
        """Names and colours of the classes that were chosen for pictures.

        Raises:
            InputError: they are fewer than the classes of the model, or not as many names as colours.
        """
        from mmseg.utils import get_classes
        names, own = self._classes or self._dataset_name, self.model.dataset_meta['classes']
        names = own if names is None else get_classes(names) if isinstance(names, str) else names
        if len(names) < len(own):
            raise InputError(f'{len(names)} names of classes are chosen, but the model tells {len(own)} apart: '
                             f'{", ".join(own)}')
        palette = self._palette or self._dataset_name
        if palette is None:
            return names, None
        colors = sources.read_palette(palette)
        if len(colors) != len(names):
            raise InputError(f'the palette has {len(colors)} colours for {len(names)} classes: give one for each of '
                             f'{", ".join(names)}')
        return names, colors

    def preprocess(self, inputs: list, batch_size: int = 1, **kwargs) -> Iterator[list[dict]]:
        """Prepare the images, `batch_size` at a time."""
        yield from self._get_chunk_data(map(self.pipeline, inputs), batch_size)

    def forward(self, inputs: list[dict], **kwargs) -> list[SegDataSample]:
        """Predict prepared images."""
        return [sample.cpu() for sample in predict_prepared(self.model, inputs, self.amp)]

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
        for picture, sample in zip(map(Picture.of, inputs), preds):
            image = picture.image[..., ::-1] if isinstance(picture.image, np.ndarray) else read_image(picture.image)
            drawn = self.visualizer.draw(np.ascontiguousarray(image), sample, with_labels=bool(with_labels))
            name = picture.name or f'{self.num_visualized_imgs:08d}_vis'
            self.num_visualized_imgs += 1
            film = bool(picture.video and img_out_dir)
            out_file = os.path.join(img_out_dir, f'{name}.jpg') if img_out_dir and not film else None
            self.visualizer.publish(name, drawn, show, wait_time, out_file)
            if film:
                self._append_to_film(picture, drawn, img_out_dir)
            pictures += [drawn] if return_vis else []
        return pictures if return_vis else None

    def _append_to_film(self, picture: Picture, drawn: np.ndarray, folder: str) -> None:
        if self._film is None or self._film[0] is not picture.video:
            self._finish_film()
            path = Path(folder, f'{Path(picture.name).parent}.mp4')
            self._film = picture.video, VideoSink(path, picture.video.fps)
        self._film[1].write(drawn)

    def _finish_film(self) -> None:
        if self._film is not None:
            (_, sink), self._film = self._film, None
            sink.close()

    def postprocess(self, preds: list[SegDataSample], visualization: list[np.ndarray] | None,
                    return_datasample: bool = False, pred_out_dir: str = '', extras: Sequence[str] = (),
                    extras_dir: str = '') -> dict | SegDataSample | list[SegDataSample]:
        """Write labels as PNG (depth maps as .npy) into `pred_out_dir` and collect the results.

        Args:
            extras: what else to collect, and to write into subfolders of `extras_dir` where that is given: `'colors'`,
                the labels painted, (H, W, 3); `'probabilities'` of the classes, (C, H, W), written as .npy in float16;
                `'confidence'`, that of the chosen class, (H, W), written as PNG in which 255 is 1.

        Returns:
            See :meth:`__call__`.
        """
        unknown = [name for name in extras if name not in EXTRAS]
        if unknown:
            raise InputError(f'extras may be {", ".join(EXTRAS)}, found {", ".join(unknown)}')
        results = dict(predictions=[], visualization=visualization or [], **{key: [] for key in extras})
        for sample in preds:
            labels = self._array(sample)
            meta = sample.metainfo
            name = (meta.get('output_name') or Path(meta.get('img_path') or '').stem
                    or f'{self.num_pred_imgs:08d}_pred')
            self.num_pred_imgs += bool(pred_out_dir or extras_dir)
            results['predictions'].append(labels)
            if pred_out_dir:
                _write_array(os.path.join(pred_out_dir, name), labels)
            for key in extras:
                results[key].append(self._extra(key, sample, labels))
                if extras_dir:
                    _write_extra(os.path.join(extras_dir, key, name), results[key][-1])
        if return_datasample:
            return preds[0] if len(preds) == 1 else preds
        return {key: value[0] if len(value) == 1 else value for key, value in results.items()}

    def _extra(self, key: str, sample: SegDataSample, labels: np.ndarray) -> np.ndarray:
        if 'pred_sem_seg' not in sample:
            raise InputError(f'{type(self.model).__name__} predicts no classes, so there are no {key} of them')
        if key == 'colors':
            return color_labels(labels, self.visualizer.dataset_meta['palette'])
        logits = torch.as_tensor(sample.seg_logits.data).float()
        single = len(logits) == 1
        probabilities = logits.sigmoid() if single else logits.softmax(0)
        if key == 'confidence':
            best = torch.maximum(probabilities, 1 - probabilities) if single else probabilities
            return best.amax(0).numpy()
        return probabilities.numpy()

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


def _write_extra(stem: str, array: np.ndarray) -> None:
    """Write colours or confidence (H, W) as PNG and probabilities (C, H, W) as .npy."""
    if array.dtype == np.uint8:
        write_image(f'{stem}.png', array)
    elif array.ndim == 2:
        write_image(f'{stem}.png', np.rint(array * 255).astype(np.uint8))
    else:
        Path(stem).parent.mkdir(parents=True, exist_ok=True)
        np.save(f'{stem}.npy', array.astype(np.float16))
