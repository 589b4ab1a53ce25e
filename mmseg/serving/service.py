"""The way of an image through a server: checked, decoded, prepared, predicted in a batch, encoded."""
from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from mmseg.apis.pipeline import ImagePipeline, predict_prepared
from mmseg.serving.batcher import Batcher
from mmseg.serving.limits import Limits, Refused, check_image
from mmseg.serving.metrics import Metrics, resident_bytes
from mmseg.utils.errors import InputError
from mmseg.utils.imread import decode_image
from mmseg.visualization.drawing import overlay_labels

JPEG_QUALITY = 90
# What may be asked for: the suffix and the media type of the answer.
OUTPUTS = {'labels': ('.png', 'image/png'), 'overlay': ('.jpg', 'image/jpeg'),
           'probabilities': ('.npy', 'application/x-npy')}


class Upload(NamedTuple):
    """A file as it was sent."""

    name: str
    content: bytes


class Answer(NamedTuple):
    """A file to send back."""

    name: str
    media_type: str
    content: bytes


def prepare(content: bytes, name: str, pipeline: ImagePipeline) -> tuple[np.ndarray, dict]:
    """Decode a checked file as the config of a pipeline does; return the image and what the network takes.

    Raises:
        InputError: it is damaged.
    """
    backend = getattr(pipeline.load_file, 'imdecode_backend', 'cv2')
    image = decode_image(content, name, pipeline.color_type, backend)
    return image, pipeline(image)


def require_classes(sample, model: torch.nn.Module) -> None:
    if 'pred_sem_seg' not in sample:
        raise InputError(f'{type(model).__name__} predicts no classes: serve a network that does')


def labels_of(sample, model: torch.nn.Module) -> np.ndarray:
    """Return the labels of a prediction, (H, W), in uint8 where the number of classes allows it, else in uint16."""
    require_classes(sample, model)
    labels = sample.pred_sem_seg.data.cpu().numpy()
    return labels.reshape(labels.shape[-2:]).astype(
        np.uint8 if len(model.dataset_meta['classes']) <= 256 else np.uint16)


def encode_png(labels: np.ndarray) -> bytes:
    return cv2.imencode('.png', labels)[1].tobytes()


class Service:
    """Predicts what is sent to it.

    Args:
        model: from `init_model`; it predicts only, from now on.
        limits: what is taken.
        amp: whether to compute in float16 on a GPU and in bfloat16 on a CPU.
        max_batch, max_wait: as those of :class:`Batcher`.
        threads: that decode, prepare and encode (one for each core, up to 4).
    """

    def __init__(self, model: torch.nn.Module, limits: Limits | None = None, amp: bool = False, max_batch: int = 8,
                 max_wait: float = 0.005, threads: int | None = None):
        self.model, self.limits = model, limits or Limits()
        self.classes, self.palette = (model.dataset_meta[key] for key in ('classes', 'palette'))
        self.in_work = 0
        self.metrics = Metrics({
            'mmseg_images_waiting': ('images that wait for the network', lambda: len(self.batcher)),
            'mmseg_images_in_work': ('images that were taken and not yet answered', lambda: self.in_work),
            'process_resident_memory_bytes': ('memory of the process', resident_bytes)})
        self.batcher = Batcher(partial(predict_prepared, model, amp=amp), max_batch, max_wait,
                               observe=partial(self.metrics.observe, 'mmseg_batch_images'))
        self._threads = ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1), 'image')
        self._own = threading.local()
        self._own.pipeline = ImagePipeline(model.cfg)  # a config without a pipeline is found out now

    @property
    def alive(self) -> bool:
        return self.batcher.alive

    def close(self) -> None:
        self.batcher.close()
        self._threads.shutdown(cancel_futures=True)

    async def predict(self, uploads: Sequence[Upload], output: str, opacity: float = 0.5) -> list[Answer]:
        """Answer all of a request's images, or refuse it for the first that cannot be.

        Raises:
            Refused: an image cannot be used, or too many are in work.
        """
        if self.in_work + len(uploads) > self.limits.queue:
            raise Refused(503, f'{self.in_work} images are in work, expected at most {self.limits.queue} with these '
                               f'{len(uploads)}: try again later', {'Retry-After': '1'})
        self.in_work += len(uploads)
        tasks = [asyncio.ensure_future(self._predict_one(upload, output, opacity)) for upload in uploads]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            self.in_work -= len(uploads)
        self.metrics.count('mmseg_images_total', amount=len(answers))
        return answers

    async def _predict_one(self, upload: Upload, output: str, opacity: float) -> Answer:
        in_thread = partial(asyncio.get_running_loop().run_in_executor, self._threads)
        picture, item = await in_thread(self._prepare, upload, output)
        result = await asyncio.wrap_future(self.batcher.submit(item, partial(self._read, output)))
        content = await in_thread(self._encode, output, result, picture, opacity)
        suffix, media_type = OUTPUTS[output]
        return Answer(f'{Path(upload.name).stem}{suffix}', media_type, content)

    def _prepare(self, upload: Upload, output: str) -> tuple[np.ndarray | None, dict]:
        """Return the picture, (H, W, 3) in BGR, where it is drawn on, and what the network takes."""
        name, content = upload
        width, height = check_image(content, name, self.limits)
        self._check_answer(output, name, width * height)
        if not hasattr(self._own, 'pipeline'):  # transforms may keep a state, so each thread has its own
            self._own.pipeline = ImagePipeline(self.model.cfg)
        try:
            image, item = prepare(content, name, self._own.pipeline)
            if output != 'overlay':
                return None, item
            is_picture = self._own.pipeline.color_type == 'color' and image.ndim == 3 and image.dtype == np.uint8
            return image if is_picture else decode_image(content, name), item
        except InputError as error:
            raise Refused(422, str(error)) from error

    def _check_answer(self, output: str, name: str, pixels: int) -> None:
        size = pixels * len(self.classes) * 2 / 1e6
        if output == 'probabilities' and size > self.limits.answer_megabytes:
            raise Refused(413, f'{name}: the probabilities of {len(self.classes)} classes would take {size:.0f} MB, '
                               f'expected at most {self.limits.answer_megabytes:g}: send a smaller image, or ask for '
                               'labels')

    def _read(self, output: str, sample) -> np.ndarray:
        """Labels (H, W), or probabilities (C, H, W) in float16."""
        if output != 'probabilities':
            return labels_of(sample, self.model)
        require_classes(sample, self.model)
        logits = sample.seg_logits.data.float()
        return (logits.sigmoid() if len(logits) == 1 else logits.softmax(0)).half().cpu().numpy()

    def _encode(self, output: str, result: np.ndarray, picture: np.ndarray | None, opacity: float) -> bytes:
        if output == 'labels':
            return encode_png(result)
        if output == 'overlay':
            drawn = overlay_labels(picture, result, [color[::-1] for color in self.palette], opacity)
            return cv2.imencode('.jpg', drawn, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        file = io.BytesIO()
        np.save(file, result)
        return file.getvalue()
