"""Vision Transformer (ViT), https://arxiv.org/abs/2010.11929; also DeiT's and CLIP's image encoder."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule, ModuleList
from mmengine.utils import to_2tuple
from torch import nn

from mmseg.models.utils import nlc_to_nchw
from mmseg.models.utils.attention import FFN, MultiheadAttention, drop_path, drop_path_rates
from mmseg.models.utils.backbone_options import checkpointed, choose_init_cfg, freeze_but
from mmseg.models.utils.embed import PatchEmbed
from mmseg.models.utils.position_embedding import fit_position_embedding, resize_position_embedding
from mmseg.registry import MODELS

_GELU = dict(type='GELU')
_LN = dict(type='LN')
_FREEZE_NOTHING = ('all',)


class TransformerEncoderLayer(BaseModule):
    """Attention and a feed-forward layer, each after a norm and beside a shortcut.

    Args:
        embed_dims: channels of the tokens.
        feedforward_channels: channels inside the feed-forward layer.
        drop_rate: dropout of the layers' outputs.
        attn_drop_rate: dropout of the attention weights.
        drop_path_rate: probability that a sample skips the feed-forward layer.
        num_fcs: linear maps of the feed-forward layer.
        attn_cfg, ffn_cfg: more arguments of :class:`mmseg.models.utils.attention.MultiheadAttention` and of mmcv's FFN.
        with_cp: compute the activations again in the backward pass rather than keep them.
    """

    def __init__(self, embed_dims: int, num_heads: int, feedforward_channels: int, drop_rate: float = 0.,
                 attn_drop_rate: float = 0., drop_path_rate: float = 0., num_fcs: int = 2, qkv_bias: bool = True,
                 act_cfg: dict = _GELU, norm_cfg: dict = _LN, batch_first: bool = True, attn_cfg: dict | None = None,
                 ffn_cfg: dict | None = None, with_cp: bool = False):
        super().__init__()
        self.with_cp = with_cp
        self.norm1_name, norm = build_norm_layer(norm_cfg, embed_dims, postfix=1)
        self.add_module(self.norm1_name, norm)
        self.build_attn(dict(attn_cfg or {}, embed_dims=embed_dims, num_heads=num_heads, attn_drop=attn_drop_rate,
                             proj_drop=drop_rate, batch_first=batch_first, bias=qkv_bias))
        self.norm2_name, norm = build_norm_layer(norm_cfg, embed_dims, postfix=2)
        self.add_module(self.norm2_name, norm)
        self.build_ffn(dict(ffn_cfg or {}, embed_dims=embed_dims, feedforward_channels=feedforward_channels,
                            num_fcs=num_fcs, ffn_drop=drop_rate, dropout_layer=drop_path(drop_path_rate),
                            act_cfg=act_cfg))

    def build_attn(self, attn_cfg: dict) -> None:
        """Give the layer its attention; subclasses choose another one."""
        self.attn = MultiheadAttention(**attn_cfg)

    def build_ffn(self, ffn_cfg: dict) -> None:
        """Give the layer its feed-forward layer."""
        self.ffn = FFN(**ffn_cfg)

    @property
    def norm1(self) -> nn.Module:
        return getattr(self, self.norm1_name)

    @property
    def norm2(self) -> nn.Module:
        return getattr(self, self.norm2_name)

    def _layers(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attn(self.norm1(x), identity=x)
        return self.ffn(self.norm2(x), identity=x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (B, N, C) -> the same shape."""
        if self.with_cp and x.requires_grad:
            return checkpointed(self, self._layers, x)
        return self._layers(x)


@MODELS.register_module()
class VisionTransformer(BaseModule):
    """Tokens of patches, with a class token, through layers of one width; returns those after `out_indices` as maps.

    Images of other sizes than `img_size` get the position embedding interpolated, and so do checkpoints.

    Args:
        img_size: of the images that the position embedding is made for.
        patch_size: side of a patch.
        patch_pad: `'corner'` pads images to whole patches; or a number of pixels all around.
        in_channels: of the image.
        embed_dims: channels of the tokens.
        num_layers, num_heads: of the transformer.
        mlp_ratio: channels inside the feed-forward layers for each of the outer ones.
        out_origin: return the tokens before the first layer as well, as the first feature.
        out_indices: layers whose output is returned; -1 is the last one.
        qkv_bias: whether queries, keys and values have a bias.
        drop_rate, attn_drop_rate: dropout of outputs and of attention weights.
        drop_path_rate: of the last layer; the first one has 0.
        with_cls_token: let the class token take part in attention.
        output_cls_token: return pairs of a map and the class token (B, C).
        patch_norm, pre_norm, final_norm: normalise the patches, the input of the layers, the output of the last one.
        patch_bias: whether the patch embedding has a bias.
        interpolate_mode: how the position embedding is resized.
        num_fcs: linear maps of a feed-forward layer.
        norm_eval: keep layer norms in evaluation mode.
        with_cp: keep the layers' inputs only and compute their activations again in the backward pass.
        frozen_exclude: parts of the names of parameters that learn while all others are frozen; `['all']` freezes none.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    def __init__(self, img_size: int | Sequence[int] = 224, patch_size: int = 16, patch_pad: str | int = 'corner',
                 in_channels: int = 3, embed_dims: int = 768, num_layers: int = 12, num_heads: int = 12,
                 mlp_ratio: int = 4, out_origin: bool = False, out_indices: int | Sequence[int] = -1,
                 qkv_bias: bool = True, drop_rate: float = 0., attn_drop_rate: float = 0.,
                 drop_path_rate: float = 0., with_cls_token: bool = True, output_cls_token: bool = False,
                 norm_cfg: dict = _LN, act_cfg: dict = _GELU, patch_norm: bool = False, patch_bias: bool = False,
                 pre_norm: bool = False, final_norm: bool = False, interpolate_mode: str = 'bicubic',
                 num_fcs: int = 2, norm_eval: bool = False, with_cp: bool = False,
                 frozen_exclude: Sequence[str] = _FREEZE_NOTHING, pretrained: str | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg))
        self.img_size = to_2tuple(img_size) if isinstance(img_size, int) else tuple(img_size)
        self.patch_size = patch_size
        self._check(num_layers, out_indices, with_cls_token, output_cls_token)
        self.out_origin = out_origin
        self.with_cls_token = with_cls_token
        self.output_cls_token = output_cls_token
        self.interpolate_mode = interpolate_mode
        self.norm_eval = norm_eval
        self.final_norm = final_norm
        self.pre_norm = pre_norm
        self.frozen_exclude = frozen_exclude

        self.patch_embed = PatchEmbed(in_channels, embed_dims, kernel_size=patch_size, stride=patch_size,
                                      padding=patch_pad, bias=patch_bias, norm_cfg=norm_cfg if patch_norm else None)
        height, width = self.grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(torch.zeros(1, height * width + 1, embed_dims))
        self.drop_after_pos = nn.Dropout(drop_rate)
        if pre_norm:
            self.pre_ln_name, norm = build_norm_layer(norm_cfg, embed_dims, postfix='_pre')
            self.add_module(self.pre_ln_name, norm)
        self.layers = ModuleList(
            TransformerEncoderLayer(embed_dims, num_heads, mlp_ratio * embed_dims, drop_rate, attn_drop_rate, rate,
                                    num_fcs, qkv_bias, act_cfg, norm_cfg, with_cp=with_cp)
            for rate in drop_path_rates(drop_path_rate, num_layers))
        if final_norm:
            self.norm1_name, norm = build_norm_layer(norm_cfg, embed_dims, postfix=1)
            self.add_module(self.norm1_name, norm)

        indices = [out_indices] if isinstance(out_indices, int) else list(out_indices)
        self.out_indices = [num_layers - 1 if i == -1 else i for i in indices]
        self.out_channels = (embed_dims,) * (len(self.out_indices) + out_origin)
        self.out_strides = (patch_size,) * len(self.out_channels)
        freeze_but(self, frozen_exclude)
        self.register_load_state_dict_pre_hook(_fit_loaded_embedding)

    def _check(self, num_layers: int, out_indices: int | Sequence[int], with_cls_token: bool,
               output_cls_token: bool) -> None:
        if len(self.img_size) != 2 or min(self.img_size) < self.patch_size:
            raise ValueError(f'img_size must be a side or a height and a width, at least patch_size={self.patch_size} '
                             f'each, found {self.img_size}')
        last = max([out_indices] if isinstance(out_indices, int) else out_indices)
        if last >= num_layers:
            raise ValueError(f'out_indices {out_indices} must be below num_layers={num_layers}; -1 is the last layer')
        if output_cls_token and not with_cls_token:
            raise ValueError('output_cls_token=True needs with_cls_token=True: without it no class token is computed')

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width in patches of the images that the position embedding is made for."""
        height, width = self.img_size
        return height // self.patch_size, width // self.patch_size

    @property
    def pre_ln(self) -> nn.Module:
        return getattr(self, self.pre_ln_name)

    @property
    def norm1(self) -> nn.Module:
        return getattr(self, self.norm1_name)

    def init_weights(self) -> None:
        """Load what `init_cfg` names, or start anew as the published ViT does."""
        if self.init_cfg is not None:
            super().init_weights()
            return
        nn.init.trunc_normal_(self.pos_embed, std=.02)
        nn.init.trunc_normal_(self.cls_token, std=.02)
        for name, layer in self.named_modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=.02)
                if layer.bias is not None:
                    nn.init.normal_(layer.bias, std=1e-6 if 'ffn' in name else 0.)
            elif isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode='fan_in', nonlinearity='relu')
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    @staticmethod
    def resize_pos_embed(pos_embed: torch.Tensor, input_shpae: Sequence[int], pos_shape: Sequence[int],
                         mode: str) -> torch.Tensor:
        """Interpolate an embedding (1, 1 + h w, C) of the grid `pos_shape` to the grid `input_shpae`."""
        if pos_embed.ndim != 3:
            raise ValueError(f'a position embedding has the shape (1, tokens, C), found {tuple(pos_embed.shape)}')
        return resize_position_embedding(pos_embed, pos_shape, input_shpae, mode)

    def _embed(self, image: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """(B, in_channels, H, W) -> tokens (B, 1 + h w, C) or, without class token, (B, h w, C); and (h, w)."""
        patches, hw_shape = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        position = self.resize_pos_embed(self.pos_embed, hw_shape, self.grid, self.interpolate_mode)
        x = self.drop_after_pos(x + position)
        x = x if self.with_cls_token else x[:, 1:]
        return (self.pre_ln(x) if self.pre_norm else x), hw_shape

    def _feature(self, x: torch.Tensor, hw_shape: tuple[int, int]) -> torch.Tensor | list[torch.Tensor]:
        """Lay tokens out as a map (B, C, h, w), beside the class token (B, C) with `output_cls_token`."""
        feature = nlc_to_nchw(x[:, 1:] if self.with_cls_token else x, hw_shape).contiguous()
        return [feature, x[:, 0]] if self.output_cls_token else feature

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor | list[torch.Tensor], ...]:
        """(B, in_channels, H, W) -> a feature (B, C, H / patch_size, W / patch_size) of each layer in `out_indices`."""
        x, hw_shape = self._embed(inputs)
        features = [self._feature(x, hw_shape)] if self.out_origin else []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if self.final_norm and i == len(self.layers) - 1:
                x = self.norm1(x)
            if i in self.out_indices:
                features.append(self._feature(x, hw_shape))
        return tuple(features)

    def train(self, mode: bool = True) -> VisionTransformer:
        """Change the mode, but for layer norms with `norm_eval`."""
        super().train(mode)
        if mode and self.norm_eval:
            for layer in self.modules():
                if isinstance(layer, nn.LayerNorm):
                    layer.eval()
        return self


def _fit_loaded_embedding(module: VisionTransformer, state_dict: dict, prefix: str, *_) -> None:
    key = f'{prefix}pos_embed'
    if key in state_dict:
        state_dict[key] = fit_position_embedding(state_dict[key], module.pos_embed, module.grid,
                                                 module.interpolate_mode)
