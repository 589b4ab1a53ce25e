"""GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond, https://arxiv.org/abs/1904.11492."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ContextBlock

from mmseg.models.decode_heads.context_head import ContextHead
from mmseg.registry import MODELS


@MODELS.register_module()
class GCHead(ContextHead):
    """One context for all places.

    Args:
        ratio: of the bottleneck's channels to the block's.
        pooling_type: `'att'` weighs the places, `'avg'` does not.
        fusion_types: `'channel_add'`, `'channel_mul'` or both: how the context joins the places.
    """

    def __init__(self, ratio: float = 0.25, pooling_type: str = 'att', fusion_types: Sequence[str] = ('channel_add',),
                 **kwargs):
        super().__init__(**kwargs)
        self.ratio, self.pooling_type, self.fusion_types = ratio, pooling_type, fusion_types
        self.gc_block = ContextBlock(self.channels, ratio, pooling_type, fusion_types)

    def context(self, x: torch.Tensor) -> torch.Tensor:
        return self.gc_block(x)
