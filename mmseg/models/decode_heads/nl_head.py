"""Non-local Neural Networks, https://arxiv.org/abs/1711.07971."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmcv.cnn import NonLocal2d

from mmseg.models.decode_heads.context_head import ContextHead
from mmseg.registry import MODELS


class FusedNonLocal2d(NonLocal2d):
    """mmcv's block; where the weights are a softmax, those of all pairs of places are never held at once."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.project(self.attend(*self.query_and_key(x), self.values(x)), x.shape[2:])

    def query_and_key(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The queries, with the places along the last axis but one, and the keys, with them along the last."""
        if self.mode == 'gaussian':
            return x.flatten(2).transpose(1, 2), x.flatten(2)
        query, key = self.theta(x).flatten(2), self.phi(x).flatten(2)  # B C (H W)
        if self.mode == 'concatenation':
            return query.unsqueeze(3), key.unsqueeze(2)
        return query.transpose(1, 2), key

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """What the places give: (B, C, H, W) -> (B, H W, C / reduction)."""
        return self.g(x).flatten(2).transpose(1, 2)

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """What the places get: (B, H W, C / reduction)."""
        if self.mode not in ('embedded_gaussian', 'gaussian'):
            return getattr(self, self.mode)(query, key) @ value
        return F.scaled_dot_product_attention(query.unsqueeze(1), key.transpose(1, 2).unsqueeze(1), value.unsqueeze(1),
                                              scale=self.scale(query.shape[-1])).squeeze(1)

    def scale(self, channels: int) -> float:
        """Factor of the products of queries and keys before a softmax."""
        return channels**-0.5 if self.use_scale and self.mode == 'embedded_gaussian' else 1.0

    def project(self, context: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Lay what the places got out as a map of the input's channels."""
        return self.conv_out(context.transpose(1, 2).unflatten(2, size))


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
        self.nl_block = FusedNonLocal2d(self.channels, reduction=reduction, use_scale=use_scale, mode=mode,
                                        conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg)

    def context(self, x: torch.Tensor) -> torch.Tensor:
        return self.nl_block(x)
