"""The frame of every decode head: which features it takes, its classifier, its losses, its prediction."""
from __future__ import annotations

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.losses import accuracy
from mmseg.ops import resize
from mmseg.registry import MODELS
from mmseg.structures import build_pixel_sampler
from mmseg.utils.typing_utils import ConfigType, SampleList

CROSS_ENTROPY = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
RELU = dict(type='ReLU')
CLASSIFIER_INIT = dict(type='Normal', std=0.01, override=dict(name='conv_seg'))


class BaseDecodeHead(BaseModule, metaclass=ABCMeta):
    """A head takes some of the backbone's or neck's features to the logits of each class.

    A subclass defines `forward(inputs) -> (N, C, h, w)`, usually `self.cls_seg(features of self.channels)`. Its logits
    may have any stride: losses and predictions enlarge them.

    Args:
        in_channels: channels of the features it takes; a list for several.
        channels: channels before the classifier.
        num_classes: number of classes of the data set.
        out_channels: channels of the logits; `num_classes` where None. One channel with two classes is binary
            segmentation by a sigmoid.
        threshold: probability above which a single channel means class 1; 0.3 where None. With several channels it
            makes each class stand for itself: a pixel has every class whose probability is above.
        dropout_ratio: of whole channels, before the classifier.
        in_index: which of the features; a list for several.
        input_transform: None takes the one feature `in_index`; `'multiple_select'` gives `forward` a list;
            `'resize_concat'` enlarges all to the first one's size and concatenates them.
        loss_decode: config of a loss, or a list of configs; losses with one `loss_name` are added up.
        ignore_index: label without a class.
        sampler: config of a pixel sampler, such as `dict(type='OHEMPixelSampler', thresh=0.7, min_kept=100000)`.
        align_corners: how logits and features are resized.
    """

    def __init__(self,
                 in_channels: int | Sequence[int],
                 channels: int,
                 *,
                 num_classes: int,
                 out_channels: int | None = None,
                 threshold: float | None = None,
                 dropout_ratio: float = 0.1,
                 conv_cfg: ConfigType | None = None,
                 norm_cfg: ConfigType | None = None,
                 act_cfg: ConfigType = RELU,
                 in_index: int | Sequence[int] = -1,
                 input_transform: str | None = None,
                 loss_decode: ConfigType | Sequence[ConfigType] = CROSS_ENTROPY,
                 ignore_index: int = 255,
                 sampler: ConfigType | None = None,
                 align_corners: bool = False,
                 init_cfg: ConfigType | Sequence[ConfigType] | None = CLASSIFIER_INIT):
        super().__init__(init_cfg)
        self.in_channels, self.in_index = self._check_inputs(in_channels, in_index, input_transform)
        self.input_transform = input_transform
        self.channels = channels
        self.dropout_ratio = dropout_ratio
        self.conv_cfg, self.norm_cfg, self.act_cfg = conv_cfg, norm_cfg, act_cfg
        self.ignore_index = ignore_index
        self.align_corners = align_corners
        self.num_classes = num_classes
        self.out_channels, self.threshold = self._check_outputs(num_classes, out_channels, threshold)

        losses = [loss_decode] if isinstance(loss_decode, dict) else list(loss_decode)
        losses = [MODELS.build(loss) for loss in losses]
        self.loss_decode = losses[0] if isinstance(loss_decode, dict) else nn.ModuleList(losses)
        self.sampler = build_pixel_sampler(sampler, context=self) if sampler is not None else None
        self.conv_seg = nn.Conv2d(channels, self.out_channels, kernel_size=1)
        self.dropout = nn.Dropout2d(dropout_ratio) if dropout_ratio > 0 else None

    def extra_repr(self) -> str:
        return f'input_transform={self.input_transform}, ignore_index={self.ignore_index}, ' \
               f'align_corners={self.align_corners}'

    @property
    def conv_options(self) -> dict:
        """What the convolutions of this head share: keyword arguments of mmcv's `ConvModule`."""
        return dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    @staticmethod
    def _check_inputs(in_channels, in_index, input_transform) -> tuple:
        """Return what `self.in_channels` and `self.in_index` become, after a check that the three fit each other."""
        if input_transform is None:
            if not (isinstance(in_channels, int) and isinstance(in_index, int)):
                raise ValueError('without input_transform a head takes one feature: in_channels and in_index must be '
                                 f'integers, found {in_channels} and {in_index}; set input_transform to '
                                 "'multiple_select' or 'resize_concat' for several")
            return in_channels, in_index
        if input_transform not in ('resize_concat', 'multiple_select'):
            raise ValueError(f'input_transform {input_transform!r} is not known: expected None, \'resize_concat\' or '
                             "'multiple_select'")
        if isinstance(in_channels, int) or isinstance(in_index, int) or len(in_channels) != len(in_index):
            raise ValueError(f'input_transform {input_transform!r} needs in_channels and in_index of one length, found '
                             f'{in_channels} and {in_index}')
        return sum(in_channels) if input_transform == 'resize_concat' else in_channels, in_index

    @staticmethod
    def _check_outputs(num_classes: int, out_channels: int | None, threshold: float | None) -> tuple:
        """Return the number of logits and the threshold for a single one."""
        if out_channels is None:
            if num_classes == 2:
                warnings.warn('two classes get two channels and a softmax; out_channels=1 with use_sigmoid=True in the '
                              'loss is binary segmentation by one channel', stacklevel=3)
            out_channels = num_classes
        if out_channels != num_classes and not (out_channels == 1 and num_classes == 2):
            raise ValueError(f'out_channels must equal num_classes, or be 1 for 2 classes: found out_channels='
                             f'{out_channels} and num_classes={num_classes}')
        if out_channels == 1 and threshold is None:
            threshold = 0.3
            warnings.warn('a single channel is cut at the probability 0.3: set `threshold` to choose', stacklevel=3)
        return out_channels, threshold

    def _transform_inputs(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        """Choose the features of `in_index`: one tensor, their list, or their concatenation at the first one's size."""
        if self.input_transform is None:
            return inputs[self.in_index]
        chosen = [inputs[i] for i in self.in_index]
        if self.input_transform == 'multiple_select':
            return chosen
        size = chosen[0].shape[2:]
        return torch.cat([resize(x, size, mode='bilinear', align_corners=self.align_corners) for x in chosen], dim=1)

    @abstractmethod
    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Take features of a backbone or neck to logits (N, C, h, w) of any stride."""

    def cls_seg(self, feat: torch.Tensor) -> torch.Tensor:
        """Classify each pixel: (N, channels, h, w) -> (N, C, h, w)."""
        return self.conv_seg(feat if self.dropout is None else self.dropout(feat))

    def loss(self, inputs: Sequence[torch.Tensor], batch_data_samples: SampleList, train_cfg: ConfigType) -> dict:
        """Return the losses and the accuracy of a training step by name."""
        return self.loss_by_feat(self.forward(inputs), batch_data_samples)

    def predict(self, inputs: Sequence[torch.Tensor], batch_img_metas: list[dict],
                test_cfg: ConfigType) -> torch.Tensor:
        """Return logits at the size of the network's input, (N, C, H, W)."""
        return self.predict_by_feat(self.forward(inputs), batch_img_metas)

    def predict_by_feat(self, seg_logits: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Enlarge logits (N, C, h, w) to the input size, that is after padding."""
        meta = batch_img_metas[0]
        size = tuple(meta.get('pad_shape', meta['img_shape']))[:2]
        return resize(seg_logits, size, mode='bilinear', align_corners=self.align_corners)

    def _stack_batch_gt(self, batch_data_samples: SampleList) -> torch.Tensor:
        return torch.stack([sample.gt_sem_seg.data for sample in batch_data_samples])

    def loss_by_feat(self, seg_logits: torch.Tensor, batch_data_samples: SampleList) -> dict:
        """Compare logits (N, C, h, w), enlarged, with the labels: each loss by its name, and `acc_seg` in percent."""
        labels = self._stack_batch_gt(batch_data_samples)  # N 1 H W
        logits = resize(seg_logits, labels.shape[2:], mode='bilinear', align_corners=self.align_corners)
        return self.compare(logits, labels)

    def compare(self, logits: torch.Tensor, labels: torch.Tensor) -> dict:
        """Return each loss by its name and `acc_seg` for logits (N, C, H, W) and labels (N, 1, H, W)."""
        weight = self.sampler.sample(logits, labels) if self.sampler is not None else None
        labels = labels.squeeze(1)
        losses = {}
        for loss in self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]:
            value = loss(logits, labels, weight=weight, ignore_index=self.ignore_index)
            losses[loss.loss_name] = losses[loss.loss_name] + value if loss.loss_name in losses else value
        losses['acc_seg'] = accuracy(logits, labels, ignore_index=self.ignore_index)
        return losses
