"""Masked Autoencoders Are Scalable Vision Learners (MAE), https://arxiv.org/abs/2111.06377."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from mmseg.models.backbones.beit import BEiT, BEiTAttention, BEiTTransformerEncoderLayer
from mmseg.models.utils.position_embedding import fit_position_embedding
from mmseg.registry import MODELS

_LN = dict(type='LN')
_GELU = dict(type='GELU')


class MAEAttention(BEiTAttention):
    """BEiT's attention, whose position biases start at zero: they were not there in pre-training."""

    def init_weights(self) -> None:
        """Start the position biases at zero."""
        nn.init.zeros_(self.relative_position_bias_table)


class MAETransformerEncoderLayer(BEiTTransformerEncoderLayer):
    """BEiT's layer with :class:`MAEAttention`."""

    def build_attn(self, attn_cfg: dict) -> MAEAttention:
        return MAEAttention(**attn_cfg)


@MODELS.register_module()
class MAE(BEiT):
    """The encoder of MAE for fine-tuning: BEiT with position embeddings besides, and with biases of the keys too.

    Position embeddings of a checkpoint for another size of image are resized on loading. For the arguments see
    :class:`BEiT`.
    """

    layer_class = MAETransformerEncoderLayer
    bias_otherwise = True

    def __init__(self, img_size: int | Sequence[int] = 224, patch_size: int = 16, in_channels: int = 3,
                 embed_dims: int = 768, num_layers: int = 12, num_heads: int = 12, mlp_ratio: float = 4,
                 out_indices: int | Sequence[int] = -1, attn_drop_rate: float = 0., drop_path_rate: float = 0.,
                 norm_cfg: dict = _LN, act_cfg: dict = _GELU, patch_norm: bool = False, final_norm: bool = False,
                 num_fcs: int = 2, norm_eval: bool = False, pretrained: str | None = None, init_values: float = 0.1,
                 init_cfg: dict | list | None = None):
        super().__init__(img_size, patch_size, in_channels, embed_dims, num_layers, num_heads, mlp_ratio, out_indices,
                         False, attn_drop_rate, drop_path_rate, norm_cfg, act_cfg, patch_norm, final_norm, num_fcs,
                         norm_eval, pretrained, init_values, init_cfg)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(self.patch_shape), embed_dims))
        self.register_load_state_dict_pre_hook(_fit_loaded_embedding)

    def _start_anew(self) -> None:
        super()._start_anew()
        nn.init.trunc_normal_(self.pos_embed, std=.02)
        self.fix_init_weight()

    def fix_init_weight(self) -> None:
        """Make the last linear maps of both parts of layer i smaller by sqrt(2 i)."""
        with torch.no_grad():
            for i, layer in enumerate(self.layers, 1):
                for last in (layer.attn.proj, layer.ffn.layers[1]):
                    last.weight.div_(math.sqrt(2 * i))

    def init_weights(self) -> None:
        """Start anew, and load over it what `init_cfg` names: position biases and scales are new in fine-tuning."""
        self._start_anew()
        if self.init_cfg is not None:
            super().init_weights()

    def resize_abs_pos_embed(self, state_dict: dict) -> dict:
        """Resize the position embeddings among the weights of a checkpoint to this model's size; return the weights."""
        _fit_loaded_embedding(self, state_dict, '')
        return state_dict

    def _first_tokens(self, x: torch.Tensor) -> torch.Tensor:
        return super()._first_tokens(x) + self.pos_embed


def _fit_loaded_embedding(module: MAE, state_dict: dict, prefix: str, *args) -> None:
    key = f'{prefix}pos_embed'
    if key in state_dict:
        state_dict[key] = fit_position_embedding(state_dict[key], module.pos_embed, module.patch_shape)
