"""The mask transformer of Segmenter, https://arxiv.org/abs/2105.05633."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model import ModuleList
from torch import nn

from mmseg.models.backbones.vit import TransformerEncoderLayer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import nchw_to_nlc, nlc_to_nchw
from mmseg.models.utils.attention import drop_path_rates
from mmseg.registry import MODELS

_GELU = dict(type='GELU')
_LN = dict(type='LN')


@MODELS.register_module()
class SegmenterMaskTransformerHead(BaseDecodeHead):
    """Patches and one embedding for each class attend to each other; their scalar products are the logits.

    Args:
        in_channels: of the feature.
        num_layers, num_heads: of the transformer.
        embed_dims: channels of its tokens.
        mlp_ratio: channels inside the feed-forward layers for each of the outer ones.
        drop_path_rate: of the last layer; the first one has 0.
        drop_rate, attn_drop_rate: dropout of outputs and of attention weights.
        num_fcs: linear maps of a feed-forward layer.
        init_std: standard deviation that weights start with.
    """

    def __init__(self, in_channels: int, num_layers: int, num_heads: int, embed_dims: int, mlp_ratio: int = 4,
                 drop_path_rate: float = 0.1, drop_rate: float = 0.0, attn_drop_rate: float = 0.0, num_fcs: int = 2,
                 qkv_bias: bool = True, act_cfg: dict = _GELU, norm_cfg: dict = _LN, init_std: float = 0.02,
                 **kwargs):
        super().__init__(in_channels=in_channels, **kwargs)
        del self.conv_seg  # the products of patches and classes take its place
        self.init_std = init_std
        self.layers = ModuleList(
            TransformerEncoderLayer(embed_dims, num_heads, mlp_ratio * embed_dims, drop_rate, attn_drop_rate, rate,
                                    num_fcs, qkv_bias, act_cfg, norm_cfg)
            for rate in drop_path_rates(drop_path_rate, num_layers))
        self.dec_proj = nn.Linear(in_channels, embed_dims)
        self.cls_emb = nn.Parameter(torch.zeros(1, self.num_classes, embed_dims))
        self.patch_proj = nn.Linear(embed_dims, embed_dims, bias=False)
        self.classes_proj = nn.Linear(embed_dims, embed_dims, bias=False)
        self.decoder_norm = build_norm_layer(norm_cfg, embed_dims)[1]
        self.mask_norm = build_norm_layer(norm_cfg, self.num_classes)[1]

    def init_weights(self) -> None:
        """Draw linear maps and class embeddings from a truncated normal, and both last projections from a normal."""
        nn.init.trunc_normal_(self.cls_emb, std=self.init_std)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=self.init_std)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for projection in (self.patch_proj, self.classes_proj):
            nn.init.normal_(projection.weight, std=self.init_std)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h, w)."""
        feature = self._transform_inputs(inputs)
        patches = self.dec_proj(nchw_to_nlc(feature))
        x = torch.cat([patches, self.cls_emb.expand(len(patches), -1, -1)], dim=1)  # B (h w + num_classes) C
        for layer in self.layers:
            x = layer(x)
        x = self.decoder_norm(x)

        count = patches.shape[1]
        patches = F.normalize(self.patch_proj(x[:, :count]), dim=-1)
        classes = F.normalize(self.classes_proj(x[:, count:]), dim=-1)
        masks = self.mask_norm(patches @ classes.transpose(1, 2))  # B (h w) num_classes
        return nlc_to_nchw(masks, feature.shape[2:]).contiguous()
