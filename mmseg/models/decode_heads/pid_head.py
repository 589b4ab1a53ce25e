"""Head of PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers,
https://arxiv.org/abs/2206.02066."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, build_activation_layer, build_norm_layer
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.decode_heads.ddr_head import check_number_of_losses
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import accuracy
from mmseg.models.utils.backbone_options import CONV_INIT
from mmseg.ops import resize
from mmseg.registry import MODELS
from mmseg.utils.typing_utils import SampleList

_BN = dict(type='BN')
_RELU = dict(type='ReLU', inplace=True)
BOUNDARY_THRESHOLD = 0.8  # t of the paper: what the D branch takes for a boundary with this probability, is one


class BasePIDHead(BaseModule):
    """Normalise, convolve and normalise again, before a classifier that belongs to the whole head."""

    def __init__(self, in_channels: int, channels: int, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.conv = ConvModule(in_channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg,
                               order=('norm', 'act', 'conv'))
        self.norm = build_norm_layer(norm_cfg, channels)[1]
        self.act = build_activation_layer(act_cfg)

    def forward(self, x: torch.Tensor, cls_seg: nn.Module | None) -> torch.Tensor:
        """(B, in_channels, h, w) -> (B, channels, h, w), or what the classifier makes of it."""
        x = self.act(self.norm(self.conv(x)))
        return x if cls_seg is None else cls_seg(x)


@MODELS.register_module()
class PIDHead(BaseDecodeHead):
    """Classify PIDNet's joined feature; in training, its detail too, and find boundaries in the third feature.

    `loss_decode` lists four losses: of the detail, of the joined feature, of the boundaries, and of the joined feature
    once more on the pixels that are taken for boundaries.

    Args:
        in_channels: of the joined feature; the other two have half as many.
        channels: before the classifiers.
    """

    def __init__(self, in_channels: int, channels: int, num_classes: int, norm_cfg: dict = _BN, act_cfg: dict = _RELU,
                 **kwargs):
        kwargs.setdefault('init_cfg', list(CONV_INIT))
        super().__init__(in_channels, channels, num_classes=num_classes, norm_cfg=norm_cfg, act_cfg=act_cfg, **kwargs)
        check_number_of_losses(self, 4, 'of the detail, the joined feature, the boundaries and the pixels on them')
        half, quarter = in_channels // 2, in_channels // 4
        self.i_head = BasePIDHead(in_channels, channels, norm_cfg, act_cfg)
        self.p_head = BasePIDHead(half, channels, norm_cfg, act_cfg)
        self.d_head = BasePIDHead(half, quarter, norm_cfg, act_cfg)
        self.p_cls_seg = nn.Conv2d(channels, self.out_channels, 1)
        self.d_cls_seg = nn.Conv2d(quarter, 1, 1)

    def forward(self, inputs: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Joined feature -> logits (B, num_classes, h, w).

        In training, features of detail, joined and of boundaries -> logits of classes twice, and of boundaries
        (B, 1, h, w).
        """
        if not self.training:
            return self.i_head(inputs, self.cls_seg)
        detail, joined, boundary = inputs
        return (self.p_head(detail, self.p_cls_seg), self.i_head(joined, self.cls_seg),
                self.d_head(boundary, self.d_cls_seg))

    def _stack_batch_gt(self, batch_data_samples: SampleList) -> tuple[torch.Tensor, torch.Tensor]:
        """Stack labels and maps of boundaries, each (N, 1, H, W)."""
        if any('gt_edge_map' not in sample for sample in batch_data_samples):
            raise ValueError("PIDHead learns from the boundaries of the labels, and a sample has no `gt_edge_map`: put "
                             "dict(type='GenerateEdge', edge_width=4) before PackSegInputs in the train_pipeline")
        return (super()._stack_batch_gt(batch_data_samples),
                torch.stack([sample.gt_edge_map.data for sample in batch_data_samples]))

    def loss_by_feat(self, seg_logits: tuple[torch.Tensor, ...], batch_data_samples: SampleList) -> dict:
        """Compare the three logits, enlarged, with labels and boundaries; `acc_seg` in percent.

        Returns:
            `loss_sem_p`, `loss_sem_i`, `loss_bd` and `loss_sem_bd`, in the order of `loss_decode`, and `acc_seg`.
        """
        labels, boundaries = (x.squeeze(1) for x in self._stack_batch_gt(batch_data_samples))  # N H W
        detail, joined, boundary = (resize(x, labels.shape[1:], mode='bilinear', align_corners=self.align_corners)
                                    for x in seg_logits)
        is_boundary = boundary.squeeze(1).sigmoid() > BOUNDARY_THRESHOLD
        on_boundary = labels.where(is_boundary, self.ignore_index)
        of_detail, of_joined, of_boundary, of_pixels = self.loss_decode
        ignored = dict(ignore_index=self.ignore_index)
        return dict(loss_sem_p=of_detail(detail, labels, **ignored), loss_sem_i=of_joined(joined, labels, **ignored),
                    loss_bd=of_boundary(boundary, boundaries), loss_sem_bd=of_pixels(joined, on_boundary, **ignored),
                    acc_seg=accuracy(joined, labels, **ignored))
