"""Attention between two feature maps, with projections by convolutions."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import constant_init
from torch import nn

from mmseg.ops import resize


class SelfAttentionBlock(nn.Module):
    """Each place of the query map gathers values from all places of the key map.

    Args:
        key_in_channels: of the key map, which also gives the values.
        query_in_channels: of the query map.
        channels: of keys and queries.
        out_channels: of the result.
        share_key_query: project both by the same convolutions.
        query_downsample, key_downsample: modules that make queries, or keys and values, fewer; None keeps them.
        key_query_num_convs, value_out_num_convs: convolutions of each projection.
        key_query_norm, value_out_norm: whether these have normalisation and activation.
        matmul_norm: divide the products by the square root of `channels`.
        with_out: project the result; the values have `channels` then, else `out_channels`.
    """

    def __init__(self, key_in_channels: int, query_in_channels: int, channels: int, out_channels: int,
                 share_key_query: bool, query_downsample: nn.Module | None, key_downsample: nn.Module | None,
                 key_query_num_convs: int, value_out_num_convs: int, key_query_norm: bool, value_out_norm: bool,
                 matmul_norm: bool, with_out: bool, conv_cfg: dict | None, norm_cfg: dict | None,
                 act_cfg: dict | None):
        super().__init__()
        if share_key_query and key_in_channels != query_in_channels:
            raise ValueError('keys and queries can share a projection only where their maps have equally many '
                             f'channels: found {key_in_channels} and {query_in_channels}')
        self.channels = channels
        self.matmul_norm = matmul_norm
        options = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        key_query = dict(num_convs=key_query_num_convs, use_conv_module=key_query_norm, **options)
        value_out = dict(num_convs=value_out_num_convs, use_conv_module=value_out_norm, **options)
        values = channels if with_out else out_channels
        self.key_project = self.build_project(key_in_channels, channels, **key_query)
        self.query_project = self.key_project if share_key_query else self.build_project(
            query_in_channels, channels, **key_query)
        self.value_project = self.build_project(key_in_channels, values, **value_out)
        self.out_project = self.build_project(channels, out_channels, **value_out) if with_out else None
        self.query_downsample = query_downsample
        self.key_downsample = key_downsample
        self.init_weights()

    def init_weights(self) -> None:
        """Let the output projection start at zero, unless a normalisation follows it."""
        if isinstance(self.out_project, nn.Conv2d):
            constant_init(self.out_project, 0)

    def build_project(self, in_channels: int, channels: int, num_convs: int, use_conv_module: bool,
                      conv_cfg: dict | None, norm_cfg: dict | None, act_cfg: dict | None) -> nn.Module:
        """Build a projection of `num_convs` 1x1 convolutions, with normalisation or bare."""
        widths = [in_channels] + [channels] * num_convs
        options = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        convs = [ConvModule(source, target, 1, **options) if use_conv_module else nn.Conv2d(source, target, 1)
                 for source, target in zip(widths, widths[1:])]
        return convs[0] if num_convs == 1 else nn.Sequential(*convs)

    def forward(self, query_feats: torch.Tensor, key_feats: torch.Tensor) -> torch.Tensor:
        """(B, query_in_channels, H, W) and (B, key_in_channels, h, w) -> (B, out_channels, H, W)."""
        query = self._downsample(self.query_project(query_feats), self.query_downsample)
        key = self._downsample(self.key_project(key_feats), self.key_downsample)
        value = self._downsample(self.value_project(key_feats), self.key_downsample)
        context = F.scaled_dot_product_attention(*map(_sequence, (query, key, value)),
                                                 scale=None if self.matmul_norm else 1.0)
        context = context.squeeze(1).transpose(1, 2).unflatten(2, query.shape[2:])  # B 1 (H W) C -> B C H W
        context = context if self.out_project is None else self.out_project(context)
        return resize(context, query_feats.shape[2:], mode='bilinear', align_corners=False)  # of pooled queries

    @staticmethod
    def _downsample(x: torch.Tensor, pool: nn.Module | None) -> torch.Tensor:
        if pool is None:
            return x
        window = 1 if getattr(pool, 'ceil_mode', False) else getattr(pool, 'kernel_size', 1)
        smallest = tuple(window) if isinstance(window, (list, tuple)) else (window, window)
        if any(side < least for side, least in zip(x.shape[2:], smallest)):
            raise ValueError(f'a feature of {tuple(x.shape[2:])} is too small to be pooled over windows of {smallest}: '
                             'it needs at least that size, so enlarge the image or pool less')
        return pool(x)


def _sequence(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2).unsqueeze(1)  # B C h w -> B 1 (h w) C: one head
