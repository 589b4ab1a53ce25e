"""The detail head of STDC, Rethinking BiSeNet For Real-time Semantic Segmentation, https://arxiv.org/abs/2104.13188."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mmseg.models.decode_heads.fcn_head import FCNHead
from mmseg.ops import resize
from mmseg.registry import MODELS
from mmseg.utils.typing_utils import SampleList


@MODELS.register_module()
class STDCHead(FCNHead):
    """An :class:`FCNHead` that learns, in training only, where classes meet.

    Args:
        boundary_threshold: above this, a response of the Laplacian and a weighted sum of its pyramid are boundary.
    """

    def __init__(self, boundary_threshold: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.boundary_threshold = boundary_threshold
        # Both are fixed, and part of published weights: one as a parameter, which optimizer states count.
        self.register_buffer('laplacian_kernel', torch.tensor([[[[-1., -1., -1.], [-1., 8., -1.], [-1., -1., -1.]]]]))
        self.fusion_kernel = nn.Parameter(torch.tensor([[[[0.6]], [[0.3]], [[0.1]]]]), requires_grad=False)

    def loss_by_feat(self, seg_logits: torch.Tensor, batch_data_samples: SampleList) -> dict:
        """Compare logits (N, C, h, w), enlarged, with the boundaries of the labels."""
        boundaries = self.boundaries(self._stack_batch_gt(batch_data_samples))
        logits = resize(seg_logits, boundaries.shape[2:], mode='bilinear', align_corners=self.align_corners)
        return self.compare(logits, boundaries)

    def boundaries(self, labels: torch.Tensor) -> torch.Tensor:
        """Mark where classes meet with 1, all else with 0: (N, 1, H, W) -> (N, 1, H, W).

        An ignored region has a boundary, too: published weights were trained so.
        """
        with torch.autocast(labels.device.type, enabled=False):
            edges = F.conv2d(labels.to(self.laplacian_kernel), self.laplacian_kernel, padding=1)
            edges = (edges > self.boundary_threshold).to(edges)
            # A Laplacian of stride s is every s-th value of the one of stride 1.
            pyramid = [F.interpolate(edges[:, :, ::stride, ::stride], edges.shape[2:]) for stride in (1, 2, 4)]
            fused = F.conv2d(torch.cat(pyramid, dim=1), self.fusion_kernel)  # N 3 H W -> N 1 H W
        return (fused > self.boundary_threshold).long()
