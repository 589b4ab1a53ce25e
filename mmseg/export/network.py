"""What is exported: a segmentor as a function of one tensor, with as much before and behind it as is asked for."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from mmseg.ops import resize
from mmseg.utils.errors import InputError

MOST_BYTE_LABELS = 256


@dataclass(frozen=True)
class Interface:
    """What an exported file takes and gives.

    Args:
        takes_image: a uint8 image (N, H, W, bands) as OpenCV reads it, BGR, is taken and prepared inside; else what the
            data preprocessor makes of it, float32 (N, bands, H, W).
        gives_labels: the class of each pixel (N, H, W) is given, else logits (N, classes, H, W).
        network_size: height and width that images are resized to inside; None leaves them their size.
        output_size: height and width of what is given; those of the input where None.
    """

    takes_image: bool = False
    gives_labels: bool = False
    network_size: tuple[int, int] | None = None
    output_size: tuple[int, int] | None = None

    @classmethod
    def from_dict(cls, values: Mapping) -> Interface:
        sizes = {key: tuple(values[key]) if values.get(key) else None for key in ('network_size', 'output_size')}
        return cls(bool(values.get('takes_image')), bool(values.get('gives_labels')), **sizes)

    def to_dict(self) -> dict:
        return asdict(self)


class ExportNetwork(nn.Module):
    """A segmentor behind an :class:`Interface`, in evaluation mode: one tensor -> one tensor.

    Images are predicted at once; windows and flips are left to whoever runs the file.
    """

    def __init__(self, model: nn.Module, interface: Interface):
        super().__init__()
        several = getattr(model, 'threshold', None) is not None and getattr(model, 'out_channels', 1) > 1
        if interface.gives_labels and several:
            raise InputError('the classes of this model stand for themselves, so a pixel has no one label: export '
                             'logits, without --argmax')
        self.model = model.eval()
        self.interface = interface

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self._prepare(image) if self.interface.takes_image else image
        size = self.interface.output_size or tuple(x.shape[2:])
        if self.interface.network_size:
            x = _resize(x, self.interface.network_size)
        x = self._normalise(x) if self.interface.takes_image else x
        logits = _resize(self._logits(x), size, align_corners=self.model.align_corners)
        return self._label(logits) if self.interface.gives_labels else logits

    @staticmethod
    def _prepare(image: torch.Tensor) -> torch.Tensor:
        return image.permute(0, 3, 1, 2).float()  # N H W bands -> N bands H W

    def _normalise(self, x: torch.Tensor) -> torch.Tensor:
        preprocessor = self.model.data_preprocessor
        if getattr(preprocessor, 'channel_conversion', False) and x.shape[1] == 3:
            x = torch.stack([x[:, 2], x[:, 1], x[:, 0]], dim=1)
        mean, std = getattr(preprocessor, 'mean', None), getattr(preprocessor, 'std', None)
        return x if mean is None else (x - mean) / std

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        """(N, bands, H, W) -> (N, classes, H, W), padded in between where the network wants sides of some multiple."""
        height, width = x.shape[2:]
        multiple = self._multiple() if self.interface.takes_image else None
        if multiple:
            down, right = (-(-side // multiple) * multiple - side for side in (height, width))
            x = F.pad(x, (0, right, 0, down), value=self.model.data_preprocessor.pad_val)
        shape = tuple(x.shape[2:])
        meta = dict(img_shape=shape, pad_shape=shape, ori_shape=shape, padding_size=(0, 0, 0, 0))
        logits = self.model.encode_decode(x, [meta] * x.shape[0])
        return logits[:, :, :height, :width] if multiple else logits

    def _multiple(self) -> int | None:
        return (getattr(self.model.data_preprocessor, 'test_cfg', None) or {}).get('size_divisor')

    def _label(self, logits: torch.Tensor) -> torch.Tensor:
        classes = logits.shape[1]
        label = logits[:, 0].sigmoid() > self.model.threshold if classes == 1 else logits.argmax(1)
        return label.to(torch.uint8 if classes <= MOST_BYTE_LABELS else torch.int32)


def _resize(x: torch.Tensor, size: tuple[int, int], align_corners: bool = False) -> torch.Tensor:
    return resize(x, size, mode='bilinear', align_corners=align_corners, warning=False)
