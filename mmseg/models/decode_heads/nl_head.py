"""Non-local Neural Networks, https://arxiv.org/abs/1711.07971."""
from __future__ import annotations

import torch
from mmcv.cnn import NonLocal2d

from mmseg.models.decode_heads.context_head import ContextHead
from mmseg.registry import MODELS


@MODELS.register_module()
class NLHead(ContextHead):
    """Attention from every place to every other.

    Args:
        reduction: how many times fewer channels the embeddings have.
        use_scale: divide the products by the square root of these.
        mode: `'embedded_gaussian'`, `'gaussian'`, `'dot_product'` or `'concatenation'`, as the paper calls them.
    """

    def __init__(self, reduction: int = 2, use_scale: bool = True, mode: str = 'embedded_gaussian', **kwargs):
        super().__init__(**kwargs)
        self.reduction, self.use_scale, self.mode = reduction, use_scale, mode
        self.nl_block = NonLocal2d(self.channels, reduction=reduction, use_scale=use_scale, mode=mode,
                                   conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg)

    def context(self, x: torch.Tensor) -> torch.Tensor:
        return self.nl_block(x)
