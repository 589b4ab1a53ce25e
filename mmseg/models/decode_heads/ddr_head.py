"""Head of DDRNet: Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road Scenes,
https://arxiv.org/abs/2101.06085."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, build_activation_layer, build_norm_layer
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import accuracy
from mmseg.models.utils.backbone_options import CONV_INIT
from mmseg.ops import resize
from mmseg.registry import MODELS
from mmseg.utils.typing_utils import SampleList

_BN = dict(type='BN')
_RELU = dict(type='ReLU', inplace=True)


@MODELS.register_module()
class DDRHead(BaseDecodeHead):
    """Classify DDRNet's joined feature; in training, its spatial feature too.

    `loss_decode` is a pair: the loss of the joined feature, `loss_context`, and that of the other, `loss_spatial`.

    Args:
        in_channels: of the joined feature; the spatial one has half as many.
        channels: before the classifiers.
    """

    def __init__(self, in_channels: int, channels: int, num_classes: int, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 **kwargs):
        kwargs.setdefault('init_cfg', list(CONV_INIT))
        super().__init__(in_channels, channels, num_classes=num_classes, norm_cfg=norm_cfg, act_cfg=act_cfg, **kwargs)
        check_number_of_losses(self, 2, 'of the joined feature and of the spatial one')
        self.head = self._make_head(in_channels)
        self.aux_head = self._make_head(in_channels // 2)
        self.aux_cls_seg = nn.Conv2d(channels, self.out_channels, 1)

    def _make_head(self, in_channels: int) -> nn.Sequential:
        return nn.Sequential(
            ConvModule(in_channels, self.channels, 3, padding=1, order=('norm', 'act', 'conv'), **self.conv_options),
            build_norm_layer(self.norm_cfg, self.channels)[1],
            build_activation_layer(self.act_cfg))

    def forward(self, inputs: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Joined feature -> logits (B, num_classes, h, w).

        In training, the spatial feature and the joined one -> logits of the joined one and of the spatial one.
        """
        if not self.training:
            return self.cls_seg(self.head(inputs))
        spatial, joined = inputs
        return self.cls_seg(self.head(joined)), self.aux_cls_seg(self.aux_head(spatial))

    def loss_by_feat(self, seg_logits: tuple[torch.Tensor, torch.Tensor], batch_data_samples: SampleList) -> dict:
        """Compare both logits, enlarged, with the labels: `loss_context`, `loss_spatial`, and `acc_seg` in percent."""
        labels = self._stack_batch_gt(batch_data_samples).squeeze(1)  # N H W
        joined, spatial = (resize(x, labels.shape[1:], mode='bilinear', align_corners=self.align_corners)
                           for x in seg_logits)
        of_joined, of_spatial = self.loss_decode
        return dict(loss_context=of_joined(joined, labels, ignore_index=self.ignore_index),
                    loss_spatial=of_spatial(spatial, labels, ignore_index=self.ignore_index),
                    acc_seg=accuracy(joined, labels, ignore_index=self.ignore_index))


def check_number_of_losses(head: BaseDecodeHead, expected: int, what: str) -> None:
    """Refuse a head whose `loss_decode` has not one config for each of its outputs."""
    found = len(head.loss_decode) if isinstance(head.loss_decode, nn.ModuleList) else 1
    if found != expected:
        raise ValueError(f'loss_decode of {type(head).__name__} is a list of {expected} losses, {what}: found {found}')
