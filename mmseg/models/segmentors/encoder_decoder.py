"""Backbone, neck, decode head and auxiliary heads as one network."""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.ops import QueryMasks, WindowLogits, average_views, resize, window_counts, window_grid
from mmseg.ops.window_logits import Window
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from mmseg.utils.typing_utils import ConfigType, OptConfigType, OptMultiConfig, OptSampleList, SampleList


@MODELS.register_module()
class EncoderDecoder(BaseSegmentor):
    """Features of a backbone, joined by a neck, classified by a decode head; auxiliary heads help in training.

    `test_cfg.mode` chooses how an image is predicted: `'whole'`, at once, or `'slide'`, by windows of `crop_size` every
    `stride` pixels whose logits are averaged where they overlap, `window_batch` of them in one forward pass.
    """

    def __init__(self,
                 backbone: ConfigType,
                 decode_head: ConfigType,
                 neck: OptConfigType = None,
                 auxiliary_head: ConfigType | Sequence[ConfigType] | None = None,
                 train_cfg: OptConfigType = None,
                 test_cfg: OptConfigType = None,
                 data_preprocessor: OptConfigType = None,
                 pretrained: str | None = None,
                 init_cfg: OptMultiConfig = None):
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if pretrained is not None:
            if backbone.get('pretrained') is not None:
                raise ValueError('`pretrained` is given for the segmentor and for its backbone: keep one of them')
            backbone = copy.copy(backbone)
            backbone['pretrained'] = pretrained
        self.backbone = MODELS.build(backbone)
        if neck is not None:
            self.neck = MODELS.build(neck)
        self._init_decode_head(decode_head)
        self._init_auxiliary_head(auxiliary_head)
        self._check_features()
        self.train_cfg, self.test_cfg = train_cfg, test_cfg

    def _init_decode_head(self, decode_head: ConfigType) -> None:
        self.decode_head = MODELS.build(decode_head)
        self._adopt(self.decode_head)

    def _adopt(self, head: nn.Module) -> None:
        """Publish what callers ask of a segmentor but the final head knows."""
        self.align_corners = head.align_corners
        self.num_classes = head.num_classes
        self.out_channels = head.out_channels
        self.threshold = getattr(head, 'threshold', None)

    def _init_auxiliary_head(self, auxiliary_head: ConfigType | Sequence[ConfigType] | None) -> None:
        if isinstance(auxiliary_head, dict):
            self.auxiliary_head = MODELS.build(auxiliary_head)
        elif auxiliary_head is not None:
            self.auxiliary_head = nn.ModuleList(MODELS.build(head) for head in auxiliary_head)

    def _check_features(self) -> None:
        """See to it that neck and heads are made for the features that they will get, as far as these are known."""
        source = self.backbone
        if self.with_neck:
            source, made_for = self.neck, getattr(self.neck, 'in_channels', None)
            given = getattr(self.backbone, 'out_channels', None)
            if isinstance(given, tuple) and isinstance(made_for, (list, tuple)) and tuple(made_for) != given:
                raise ValueError(f'neck.in_channels={list(made_for)} does not fit the features of '
                                 f'{type(self.backbone).__name__}, which have {list(given)} channels')
        for part in ('decode_head', 'auxiliary_head'):
            heads = getattr(self, part, None)
            if isinstance(heads, nn.ModuleList):
                for i, head in enumerate(heads):
                    _check_head(f'{part}[{i}]', head, source)
            elif heads is not None:
                _check_head(part, heads, source)

    def extract_feat(self, inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        """Take images (N, 3, H, W) to the features of backbone and neck."""
        features = self.backbone(inputs)
        return self.neck(features) if self.with_neck else features

    def _decode(self, features: Sequence[torch.Tensor], batch_img_metas: list[dict]) -> torch.Tensor | QueryMasks:
        """Take features to logits of the head's own stride, or of the input's where the head enlarges by itself."""
        return native_logits(self.decode_head, (features,), batch_img_metas, self.test_cfg)

    def _native_logits(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Take images (N, 3, H, W) to logits of any stride."""
        return self._decode(self.extract_feat(inputs), batch_img_metas)

    def encode_decode(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Take images (N, 3, H, W) to logits of their size, (N, C, H, W)."""
        logits = self._native_logits(inputs, batch_img_metas)
        if isinstance(logits, QueryMasks):
            return logits.logits(tuple(inputs.shape[2:]))
        return self._enlarge(logits, tuple(inputs.shape[2:]))

    def _forward(self, inputs: torch.Tensor, data_samples: OptSampleList = None) -> torch.Tensor:
        return self.decode_head.forward(self.extract_feat(inputs))

    def loss(self, inputs: torch.Tensor, data_samples: SampleList) -> dict:
        """Return the losses of the decode head (`decode.…`) and the auxiliary heads (`aux.…` or `aux_0.…`)."""
        return self._losses(self.extract_feat(inputs), data_samples)

    def _losses(self, features: Sequence[torch.Tensor], data_samples: SampleList) -> dict:
        losses = self._decode_losses(features, data_samples)
        if isinstance(getattr(self, 'auxiliary_head', None), nn.ModuleList):
            for i, head in enumerate(self.auxiliary_head):
                losses.update(add_prefix(head.loss(features, data_samples, self.train_cfg), f'aux_{i}'))
        elif self.with_auxiliary_head:
            losses.update(add_prefix(self.auxiliary_head.loss(features, data_samples, self.train_cfg), 'aux'))
        return losses

    def _decode_losses(self, features: Sequence[torch.Tensor], data_samples: SampleList) -> dict:
        return add_prefix(self.decode_head.loss(features, data_samples, self.train_cfg), 'decode')

    def predict(self, inputs: torch.Tensor, data_samples: OptSampleList = None) -> list[SegDataSample]:
        """Return the samples, each with `pred_sem_seg` (1, H, W) at its image's original size."""
        size = tuple(inputs.shape[2:])
        if data_samples is None:
            metas = [dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=(0, 0, 0, 0)) for _ in inputs]
        else:
            metas = [sample.metainfo for sample in data_samples]
        mode = 'whole' if self.test_cfg is None else self.test_cfg.get('mode', 'whole')
        if mode == 'whole' and _not_overridden(self, EncoderDecoder, 'inference', 'whole_inference', 'encode_decode'):
            logits = self._native_logits(inputs, metas)
        elif mode == 'slide' and _not_overridden(self, EncoderDecoder, 'inference', 'slide_inference', 'encode_decode'):
            lazily = not hasattr(self.decode_head, 'native_logits')  # what such heads give is made of queries
            logits = self._slide(inputs, metas, self._native_logits if lazily else self.encode_decode, lazily)
        else:
            logits = self.inference(inputs, metas)
        return self.postprocess_result(logits, data_samples, input_size=size)

    def inference(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Take images (N, 3, H, W) to logits of their size by the mode of `test_cfg`."""
        mode = self.test_cfg.get('mode', 'whole')
        if mode not in ('slide', 'whole'):
            raise ValueError(f"test_cfg.mode must be 'slide' or 'whole', found {mode!r}")
        return (self.slide_inference if mode == 'slide' else self.whole_inference)(inputs, batch_img_metas)

    def whole_inference(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Predict images at once: (N, 3, H, W) -> (N, C, H, W)."""
        return self.encode_decode(inputs, batch_img_metas)

    def slide_inference(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Predict images by overlapping windows and average their logits: (N, 3, H, W) -> (N, C, H, W)."""
        return self._slide(inputs, batch_img_metas, self.encode_decode)

    def _slide(self, inputs: torch.Tensor, batch_img_metas: list[dict],
               function: Callable[[torch.Tensor, list[dict]], torch.Tensor],
               lazily: bool = False) -> torch.Tensor | WindowLogits:
        """Average what a function of crops and metas gives for each window; or keep it, if asked to and if smaller."""
        size, windows, counts = self._windows(inputs)
        total, parts = None, []
        for logits, (top, bottom, left, right) in self._over_windows(inputs, batch_img_metas, windows, function):
            if lazily and len(windows) * logits[0, 0].numel() <= size[0] * size[1]:
                parts.append(logits)
                continue
            if total is None:
                total = logits.new_zeros((*logits.shape[:2], *size))
            total[:, :, top:bottom, left:right] += self._enlarge(logits, (bottom - top, right - left))
        if parts:
            return WindowLogits(torch.stack(parts), windows, tuple(count.to(inputs.device) for count in counts),
                                self.align_corners, getattr(self, 'threshold', None))
        return total.div_(counts[0].to(total) * counts[1].to(total))

    def _enlarge(self, logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return resize(logits, size, mode='bilinear', align_corners=self.align_corners, warning=False)

    def _windows(self, inputs: torch.Tensor) -> tuple[tuple[int, int], list[Window], tuple[torch.Tensor, torch.Tensor]]:
        """The size of a batch's images, the windows over it, and how many lie over each row and each column."""
        size = tuple(inputs.shape[2:])
        window, stride = tuple(self.test_cfg['crop_size']), tuple(self.test_cfg['stride'])
        return size, window_grid(size, window, stride), window_counts(size, window, stride)

    def _over_windows(
            self, inputs: torch.Tensor, batch_img_metas: list[dict], windows: list[Window],
            function: Callable[[torch.Tensor, list[dict]], torch.Tensor]) -> Iterator[tuple[torch.Tensor, Window]]:
        """Yield what a function of crops and metas gives for each window, (N, C, h, w), and the window."""
        at_once = self.test_cfg.get('window_batch', 1)
        for start in range(0, len(windows), at_once):
            group = windows[start:start + at_once]
            crops = torch.cat([inputs[:, :, top:bottom, left:right] for top, bottom, left, right in group])
            metas = [{**meta, 'img_shape': crops.shape[2:], 'pad_shape': crops.shape[2:]} for meta in batch_img_metas]
            yield from zip(function(crops, metas * len(group)).split(len(inputs)), group)

    def aug_test(self, inputs: Sequence[torch.Tensor], batch_img_metas: Sequence[list[dict]],
                 rescale: bool = True) -> list[np.ndarray]:
        """Label images by the mean probability over several views of each.

        Args:
            inputs: one batch (N, 3, h, w) for each view.
            batch_img_metas: the N metas of each view, with its flip, padding and `ori_shape`.
            rescale: must be True: views can only be averaged at the one original size.

        Returns:
            For each image its labels, (H, W).
        """
        if not rescale:
            raise ValueError('views of an image can only be averaged at its original size: rescale must be True')
        views = [self.postprocess_result(self.inference(images, metas), [SegDataSample(metainfo=m) for m in metas])
                 for images, metas in zip(inputs, batch_img_metas)]
        return [average_views([view.seg_logits.data for view in image], self.threshold)[0].cpu().numpy()
                for image in zip(*views)]


def native_logits(head: nn.Module, arguments: tuple, batch_img_metas: list[dict],
                  test_cfg: ConfigType) -> torch.Tensor | QueryMasks:
    """Ask a head for logits before they are enlarged, unless it has a way of its own to predict."""
    if hasattr(head, 'native_logits'):
        return head.native_logits(*arguments, batch_img_metas, test_cfg)
    plain = type(head).predict in _PLAIN_PREDICT and type(head).predict_by_feat is BaseDecodeHead.predict_by_feat
    return head.forward(*arguments) if plain else head.predict(*arguments, batch_img_metas, test_cfg)


_PLAIN_PREDICT = (BaseDecodeHead.predict, BaseCascadeDecodeHead.predict)


def _check_head(name: str, head: nn.Module, source: nn.Module) -> None:
    """Compare what a head takes with `source.out_channels`, where both are known.

    Heads of a user's own are not judged: they may choose their features in ways of their own.
    """
    channels = getattr(source, 'out_channels', None)
    known = isinstance(channels, tuple) and hasattr(head, 'input_transform')
    if not known or type(head).__module__.partition('.')[0] != 'mmseg':
        return
    indices = [head.in_index] if isinstance(head.in_index, int) else list(head.in_index)
    features = f'{type(source).__name__} gives {len(channels)} features, of {list(channels)} channels'
    if not all(-len(channels) <= i < len(channels) for i in indices):
        raise ValueError(f'{name}.in_index={head.in_index} asks for a feature that is not there: {features}')
    given = [channels[i] for i in indices]
    if head.input_transform == 'resize_concat':
        given = [sum(given)]
    wanted = [head.in_channels] if isinstance(head.in_channels, int) else list(head.in_channels)
    if wanted != given:
        raise ValueError(f'{name} is made for {wanted} channels but with in_index={head.in_index} and input_transform='
                         f'{head.input_transform!r} it gets {given}: {features}. Change in_channels or in_index')


def _not_overridden(obj: object, base: type, *names: str) -> bool:
    return all(getattr(type(obj), name) is getattr(base, name) for name in names)
