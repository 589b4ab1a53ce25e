"""An exported file in the place of a model, so that everything that evaluates a model evaluates the file."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData

from mmseg.export.backends import BACKENDS, Exported, open_exported
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder
from mmseg.ops.labels import FLIPPED_AXES
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils.errors import InputError
from mmseg.utils.typing_utils import OptConfigType, OptSampleList


@MODELS.register_module()
class ExportedSegmentor(EncoderDecoder):
    """Predicts, whole or by windows, with an exported file; it has no weights and cannot be trained.

    Args:
        file: the exported model.
        backend: what runs it, see :func:`mmseg.export.backends.open_exported`.
        device: where.
        num_classes: classes that the file must tell apart; not checked where None.
        data_preprocessor: of the model that was exported. What the file does by itself is left out.
        test_cfg: as of :class:`EncoderDecoder`.
        align_corners, threshold: of the decode head that was exported.
    """

    def __init__(self, file: str, backend: str | None = None, device: str = 'cpu', num_classes: int | None = None,
                 data_preprocessor: OptConfigType = None, test_cfg: OptConfigType = None, align_corners: bool = False,
                 threshold: float | None = None):
        exported = open_exported(file, backend, device)
        if exported.interface.takes_image:
            data_preprocessor = _only_stacking(data_preprocessor)
        BaseSegmentor.__init__(self, data_preprocessor=data_preprocessor)
        self.exported: Exported = exported
        self.num_classes, self.align_corners, self.threshold = num_classes, align_corners, threshold
        self.test_cfg = test_cfg or dict(mode='whole')
        if exported.interface.gives_labels and self.test_cfg.get('mode') == 'slide':
            raise InputError(f'{file} gives labels, which cannot be averaged where windows overlap: export it without '
                             '--argmax, or add --cfg-options model.test_cfg.mode=whole')
        known = exported.notes.get('classes')
        if known and num_classes not in (None, 1, len(known)):
            raise InputError(f'{file} was exported from a model of {len(known)} classes ({_some(known)}), but the '
                             f'config has {num_classes}: give the config that it was exported from'
                             f'{_name(exported)}')

    def extract_feat(self, inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        """Raise an error: what is inside the file cannot be had apart."""
        raise InputError('an exported file gives logits or labels, no features')

    def _forward(self, inputs: torch.Tensor, data_samples: OptSampleList = None) -> torch.Tensor:
        return self._run(inputs)

    def encode_decode(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Take images (N, bands, H, W) to logits of their size."""
        logits = self._run(inputs)
        found = logits.shape[1] if logits.ndim == 4 else None
        if self.num_classes is not None and found not in (None, self.num_classes) and not (
                found == 1 and self.num_classes == 2):
            raise InputError(f'{self.exported.path} gives logits of {found} classes, but the config has '
                             f'{self.num_classes}: give the config that it was exported from')
        return logits

    def predict(self, inputs: torch.Tensor, data_samples: OptSampleList = None) -> list[SegDataSample]:
        """Return the samples with `pred_sem_seg` (1, H, W) at each image's original size."""
        if not self.exported.interface.gives_labels:
            return super().predict(inputs, data_samples)
        samples = data_samples or [SegDataSample() for _ in inputs]
        for labels, sample in zip(self._run(inputs), samples):
            sample.pred_sem_seg = PixelData(data=_restored(labels, sample.metainfo))
        return list(samples)

    def _run(self, inputs: torch.Tensor) -> torch.Tensor:
        """Give the file one image after another, or all at once where it takes as many."""
        array = inputs.cpu().numpy()
        if self.exported.interface.takes_image:
            array = np.rint(array).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)  # N bands H W -> N H W bands
        at_once = (self.exported.shape or (1,))[0] or len(array)
        parts = [array[start:start + at_once] for start in range(0, len(array), at_once)]
        made = [self.exported(_filled(part, at_once))[:len(part)] for part in parts]
        return torch.from_numpy(np.concatenate(made)).to(inputs.device)


def exported_form(model: BaseSegmentor, backend: str, folder: Path, sides: tuple[int, int], *, bands: int = 3,
                  batch_size: int = 1, device: str = 'cpu', half: bool = False) -> ExportedSegmentor:
    """Export a model for images of one size and put the file, which is written into `folder`, in its place.

    Args:
        backend: what shall run it, see :func:`mmseg.export.backends.open_exported`.
        half: let TensorRT use float16.
    """
    from mmseg.export.export import FORMATS, export_model
    formats = {name: kind for kind, name in FORMATS.items()}
    kind = formats.get(backend, 'onnx')
    path = folder / f'model{BACKENDS[FORMATS[kind]].suffixes[0]}'
    export_model(model, path, kind, sides, bands=bands, batch_size=batch_size)
    if backend == 'tensorrt':
        from mmseg.export.tensorrt import Sizes, build_engine
        source, path = path, path.with_suffix('.engine')
        build_engine(source, path, Sizes(sides, sides, sides), half=half)
    return ExportedSegmentor(
        str(path), backend, device, model.num_classes, model.cfg.model.get('data_preprocessor'), model.test_cfg,
        model.align_corners, model.threshold).to(device).eval()


def _filled(images: np.ndarray, count: int) -> np.ndarray:
    """Repeat the last image until there are as many as the file takes."""
    return np.concatenate([images, np.repeat(images[-1:], count - len(images), axis=0)])


def _only_stacking(data_preprocessor: OptConfigType) -> dict:
    """The config of a data preprocessor that leaves the values of images as they are."""
    kept = ('type', 'size', 'size_divisor', 'seg_pad_val')
    return {key: value for key, value in (data_preprocessor or dict(type='SegDataPreProcessor')).items() if key in kept}


def _restored(labels: torch.Tensor, meta: dict) -> torch.Tensor:
    """Bring labels (H, W) of the network's input to (1, H, W) of the original image."""
    left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0)))
    labels = labels[top:labels.shape[0] - bottom, left:labels.shape[1] - right]
    if meta.get('flip'):
        labels = labels.flip(FLIPPED_AXES[meta.get('flip_direction')])
    size = tuple(meta.get('ori_shape', labels.shape)[:2])
    if size != tuple(labels.shape):
        labels = F.interpolate(labels[None, None].float(), size, mode='nearest-exact')[0, 0]
    return labels.long()[None]


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:3]) + (' …' if len(names) > 3 else '')


def _name(exported: Exported) -> str:
    return f', {exported.notes["config"]}' if exported.notes.get('config') else ''
