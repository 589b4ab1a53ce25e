"""Transformers of queries: DETR, https://arxiv.org/abs/2005.12872, as MaskFormer and Mask2Former use it.

Positions are added to queries and keys, not to values; a norm follows each shortcut.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule, ModuleList

from mmseg.models.utils.attention import FFN, MultiheadAttention
from mmseg.models.utils.backbone_options import checkpointed
from mmseg.models.utils.deformable_attention import MultiScaleDeformableAttention
from mmseg.registry import MODELS

_LN = dict(type='LN')
_ATTENTION = dict(embed_dims=256, num_heads=8)
_DEFORMABLE = dict(embed_dims=256, num_levels=4)
_FFN = dict(embed_dims=256, feedforward_channels=1024, num_fcs=2, ffn_drop=0.,
            act_cfg=dict(type='ReLU', inplace=True))


class DetrLayer(BaseModule):
    """What layers of encoders and decoders share: self-attention, a feed-forward layer, and a norm for each part."""

    attention = MultiheadAttention
    num_norms = 2

    def __init__(self, self_attn_cfg: dict | None, ffn_cfg: dict, norm_cfg: dict, init_cfg: dict | None):
        super().__init__(init_cfg)
        self.self_attn = self._attention(self.attention, self_attn_cfg or _ATTENTION)
        self.embed_dims = self.self_attn.embed_dims
        self.ffn = FFN(**ffn_cfg)
        if self.ffn.embed_dims != self.embed_dims:
            raise ValueError(f'ffn_cfg.embed_dims={self.ffn.embed_dims} must equal self_attn_cfg.embed_dims='
                             f'{self.embed_dims}')
        self.norms = ModuleList(build_norm_layer(norm_cfg, self.embed_dims)[1] for _ in range(self.num_norms))

    @staticmethod
    def _attention(kind: type, options: dict) -> BaseModule:
        if not options.get('batch_first', True):
            raise ValueError('batch_first=False: sequences of these transformers are (B, N, C), so leave it True')
        return kind(**{**options, 'batch_first': True})

    def _attend_to_itself(self, query: torch.Tensor, query_pos: torch.Tensor,
                          mask: torch.Tensor | None = None) -> torch.Tensor:
        placed = query + query_pos
        return self.self_attn(placed, placed, query, identity=query, attn_mask=mask)


class DetrTransformerEncoderLayer(DetrLayer):
    """Tokens attend to each other.

    Args:
        self_attn_cfg: arguments of :class:`MultiheadAttention`.
        ffn_cfg: arguments of mmcv's `FFN`.
    """

    def __init__(self, self_attn_cfg: dict | None = None, ffn_cfg: dict = _FFN, norm_cfg: dict = _LN,
                 init_cfg: dict | None = None):
        super().__init__(self_attn_cfg, ffn_cfg, norm_cfg, init_cfg)

    def forward(self, query: torch.Tensor, query_pos: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Tokens and their positions (B, N, C) -> (B, N, C); `mask`, (B, 1, 1, N), tells which take part."""
        return self.norms[1](self.ffn(self.norms[0](self._attend_to_itself(query, query_pos, mask))))


class DeformableDetrTransformerEncoderLayer(DetrLayer):
    """Tokens of several maps attend to a few places of each.

    Args:
        self_attn_cfg: arguments of :class:`MultiScaleDeformableAttention`.
        ffn_cfg: arguments of mmcv's `FFN`.
    """

    attention = MultiScaleDeformableAttention

    def __init__(self, self_attn_cfg: dict | None = _DEFORMABLE, ffn_cfg: dict = _FFN, norm_cfg: dict = _LN,
                 init_cfg: dict | None = None):
        super().__init__(self_attn_cfg, ffn_cfg, norm_cfg, init_cfg)

    def forward(self, query: torch.Tensor, query_pos: torch.Tensor, **places) -> torch.Tensor:
        """Tokens and their positions (B, N, C) -> (B, N, C); `places` are the attention's reference points and shapes.
        """
        query = self.norms[0](self.self_attn(query, value=query, query_pos=query_pos, **places))
        return self.norms[1](self.ffn(query))


class _Layers(BaseModule):
    """Layers of one kind, one after another.

    Args:
        layer_cfg: arguments of each layer, or a list of them.
    """

    layer: type

    def __init__(self, num_layers: int, layer_cfg: dict | Sequence[dict] | None, init_cfg: dict | None):
        super().__init__(init_cfg)
        options = [layer_cfg or {}] * num_layers if layer_cfg is None or isinstance(layer_cfg, dict) else layer_cfg
        if len(options) != num_layers:
            raise ValueError(f'num_layers={num_layers} needs as many layer_cfg, found {len(options)}')
        self.num_layers = num_layers
        self.layers = ModuleList(self.layer(**each) for each in options)
        self.embed_dims = self.layers[0].embed_dims


@MODELS.register_module()
class DetrTransformerEncoder(_Layers):
    """Layers of an encoder.

    Args:
        num_layers: their number.
        layer_cfg: arguments of each layer, or a list of them.
        num_cp: so many of the first layers compute their activations again in the backward pass.
    """

    layer = DetrTransformerEncoderLayer

    def __init__(self, num_layers: int, layer_cfg: dict | Sequence[dict] | None = None, num_cp: int = -1,
                 init_cfg: dict | None = None):
        super().__init__(num_layers, layer_cfg, init_cfg)
        if num_cp > num_layers:
            raise ValueError(f'num_cp={num_cp} is more than num_layers={num_layers}')
        self.num_cp = num_cp

    def forward(self, query: torch.Tensor, query_pos: torch.Tensor, **options) -> torch.Tensor:
        """Tokens and their positions (B, N, C) -> (B, N, C); `options` go to each layer."""
        for i, layer in enumerate(self.layers):
            if i < self.num_cp and query.requires_grad:
                query = checkpointed(layer, lambda *x, layer=layer: layer(*x, **options), query, query_pos)
            else:
                query = layer(query, query_pos, **options)
        return query


@MODELS.register_module()
class DeformableDetrTransformerEncoder(DetrTransformerEncoder):
    """Layers of an encoder of several maps; arguments as :class:`DetrTransformerEncoder`."""

    layer = DeformableDetrTransformerEncoderLayer


class DetrTransformerDecoderLayer(DetrLayer):
    """Queries attend to each other, then to the tokens of an image.

    Args:
        self_attn_cfg, cross_attn_cfg: arguments of :class:`MultiheadAttention`.
        ffn_cfg: arguments of mmcv's `FFN`.
    """

    num_norms = 3

    def __init__(self, self_attn_cfg: dict | None = None, cross_attn_cfg: dict | None = None, ffn_cfg: dict = _FFN,
                 norm_cfg: dict = _LN, init_cfg: dict | None = None):
        super().__init__(self_attn_cfg, ffn_cfg, norm_cfg, init_cfg)
        self.cross_attn = self._attention(MultiheadAttention, cross_attn_cfg or _ATTENTION)

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, query_pos: torch.Tensor,
                mask: torch.Tensor | None = None) -> torch.Tensor:
        """Queries (B, N, C) -> (B, N, C).

        Args:
            key: tokens of an image with their positions, (B, M, C).
            value: the tokens without.
            query_pos: positions of the queries, (B, N, C).
            mask: which token takes part for which query; broadcasts to (B, heads, N, M).
        """
        query = self.norms[0](self._attend_to_itself(query, query_pos))
        query = self.norms[1](self.cross_attn(query + query_pos, key, value, identity=query, attn_mask=mask))
        return self.norms[2](self.ffn(query))


class Mask2FormerTransformerDecoderLayer(DetrTransformerDecoderLayer):
    """The same, but queries attend to the image first; arguments as :class:`DetrTransformerDecoderLayer`."""

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, query_pos: torch.Tensor,
                mask: torch.Tensor | None = None) -> torch.Tensor:
        query = self.norms[0](self.cross_attn(query + query_pos, key, value, identity=query, attn_mask=mask))
        query = self.norms[1](self._attend_to_itself(query, query_pos))
        return self.norms[2](self.ffn(query))


@MODELS.register_module()
class DetrTransformerDecoder(_Layers):
    """Layers of a decoder, and a norm of what each of them gives.

    Args:
        num_layers: their number.
        layer_cfg: arguments of each layer, or a list of them.
        return_intermediate: return the queries after each layer, not after the last one only.
    """

    layer = DetrTransformerDecoderLayer

    def __init__(self, num_layers: int, layer_cfg: dict | Sequence[dict] | None = None, post_norm_cfg: dict = _LN,
                 return_intermediate: bool = True, init_cfg: dict | None = None):
        super().__init__(num_layers, layer_cfg, init_cfg)
        self.return_intermediate = return_intermediate
        self.post_norm = build_norm_layer(post_norm_cfg, self.embed_dims)[1]

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, query_pos: torch.Tensor,
                mask: torch.Tensor | None = None) -> torch.Tensor:
        """Arguments as those of a layer -> (L, B, N, C), the queries after each of L layers, or after the last."""
        every = []
        for layer in self.layers:
            query = layer(query, key, value, query_pos, mask)
            every.append(query)
        return self.post_norm(torch.stack(every if self.return_intermediate else every[-1:]))


@MODELS.register_module()
class Mask2FormerTransformerDecoder(DetrTransformerDecoder):
    """Layers that attend to the image first; arguments as :class:`DetrTransformerDecoder`."""

    layer = Mask2FormerTransformerDecoderLayer
