"""What TorchServe runs: an image comes in, a PNG of the ids of its classes goes out.

This file goes into the model archive (`tools/mmseg2torchserve.py`), so it holds one class, as TorchServe asks, and
takes everything else from the package, which has to be installed where the server runs.
"""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from mmseg.apis.inference import init_model
from mmseg.apis.pipeline import ImagePipeline, predict_prepared
from mmseg.serving.limits import Limits, Refused, check_image
from mmseg.serving.service import encode_png, labels_of, prepare
from mmseg.utils.errors import InputError


class MMsegHandler:
    """Predicts the images that TorchServe collects for a batch, those of one size together."""

    def initialize(self, context) -> None:
        """Load the model of an unpacked archive."""
        properties = context.system_properties
        gpu = properties.get('gpu_id')
        folder = Path(properties['model_dir'])
        self.model = init_model(folder / 'config.py', str(folder / context.manifest['model']['serializedFile']),
                                'cpu' if gpu is None or not torch.cuda.is_available() else f'cuda:{gpu}')
        self.pipeline = ImagePipeline(self.model.cfg)

    def handle(self, data: Sequence[dict], context) -> list[bytes | str]:
        """Answer each request of a batch: `data` or `body` holds the image, byte for byte.

        What cannot be used gets the status of its refusal and a sentence; the others of the batch are served.
        """
        answers, items = {}, {}
        for place, row in enumerate(data):
            try:
                items[place] = self._prepare(row.get('data') or row.get('body') or b'')
            except (Refused, InputError) as error:
                context.set_response_status(code=getattr(error, 'status', 422), phrase='Refused', idx=place)
                answers[place] = str(error)
        for place, sample in zip(items, predict_prepared(self.model, items.values())):
            context.set_response_content_type(place, 'image/png')
            answers[place] = encode_png(labels_of(sample, self.model))
        return [answers[place] for place in range(len(data))]

    def _prepare(self, content: bytes | bytearray | str) -> dict:
        if not isinstance(content, (bytes, bytearray)):
            raise Refused(415, f'found a request of the type {type(content).__name__}, expected the bytes of an image')
        check_image(bytes(content), 'image', Limits())
        return prepare(bytes(content), 'image', self.pipeline)[1]
