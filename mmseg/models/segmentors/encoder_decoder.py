"""Backbone, neck, decode head and auxiliary heads as one network."""
from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.ops import average_views, resize, window_counts, window_grid
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

    def _decode(self, features: Sequence[torch.Tensor], batch_img_metas: list[dict]) -> torch.Tensor:
        """Take features to logits of the head's own stride, or of the input's where the head enlarges by itself."""
        return native_logits(self.decode_head, (features,), batch_img_metas, self.test_cfg)

    def encode_decode(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Take images (N, 3, H, W) to logits of their size, (N, C, H, W)."""
        logits = self._decode(self.extract_feat(inputs), batch_img_metas)
        return resize(logits, inputs.shape[2:], mode='bilinear', align_corners=self.align_corners, warning=False)

    def _forward(self, inputs: torch.Tensor, data_samples: OptSampleList = None) -> torch.Tensor:
        return self.decode_head.forward(self.extract_feat(inputs))

    def loss(self, inputs: torch.Tensor, data_samples: SampleList) -> dict:
        """Return the losses of the decode head (`decode.…`) and the auxiliary heads (`aux.…` or `aux_0.…`)."""
        features = self.extract_feat(inputs)
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
        whole = self.test_cfg is None or self.test_cfg.get('mode', 'whole') == 'whole'
        if whole and _not_overridden(self, EncoderDecoder, 'inference', 'whole_inference', 'encode_decode'):
            logits = self._decode(self.extract_feat(inputs), metas)
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
        size, batch = tuple(inputs.shape[2:]), len(inputs)
        window, stride = tuple(self.test_cfg['crop_size']), tuple(self.test_cfg['stride'])
        at_once = self.test_cfg.get('window_batch', 1)
        windows = window_grid(size, window, stride)
        total = None
        for start in range(0, len(windows), at_once):
            group = windows[start:start + at_once]
            crops = torch.cat([inputs[:, :, top:bottom, left:right] for top, bottom, left, right in group])
            metas = [{**meta, 'img_shape': crops.shape[2:], 'pad_shape': crops.shape[2:]} for meta in batch_img_metas]
            logits = self.encode_decode(crops, metas * len(group))
            if total is None:
                total = logits.new_zeros((batch, logits.shape[1], *size))
            for part, (top, bottom, left, right) in zip(logits.split(batch), group):
                total[:, :, top:bottom, left:right] += part
        rows, columns = window_counts(size, window, stride, like=total)
        return total.div_(rows * columns)

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
                  test_cfg: ConfigType) -> torch.Tensor:
    """Ask a head for logits before they are enlarged, unless it has a way of its own to predict."""
    plain = type(head).predict in _PLAIN_PREDICT and type(head).predict_by_feat is BaseDecodeHead.predict_by_feat
    return head.forward(*arguments) if plain else head.predict(*arguments, batch_img_metas, test_cfg)


_PLAIN_PREDICT = (BaseDecodeHead.predict, BaseCascadeDecodeHead.predict)


def _check_head(name: str, head: nn.Module, source: nn.Module) -> None:
    """Compare what a head takes with `source.out_channels`, where both are known.

    Heads of a user's own are not judged: they may choose their features in ways of their own.
    """
    channels = getattr(source, 'out_channels', None)
    known = isinstance(channels, tuple) and isinstance(head, BaseDecodeHead)
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
