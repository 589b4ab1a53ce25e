"""Naive and progressive upsampling (PUP) of SETR, https://arxiv.org/abs/2012.15840."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import Upsample, nchw_to_nlc, nlc_to_nchw
from mmseg.registry import MODELS

EXACT_LN = dict(type='LN', eps=1e-6, requires_grad=True)
_INIT = (dict(type='Constant', val=1.0, bias=0, layer='LayerNorm'),
         dict(type='Normal', std=0.01, override=dict(name='conv_seg')))


@MODELS.register_module()
class SETRUPHead(BaseDecodeHead):
    """Normalise the tokens, then convolve and enlarge `num_convs` times.

    Args:
        norm_layer: config of the norm.
        num_convs: how often; 1 and `up_scale=4` is the naive head, 4 and `up_scale=2` the progressive one.
        up_scale: by which each step enlarges.
        kernel_size: of the convolutions, 1 or 3.
    """

    def __init__(self, norm_layer: dict = EXACT_LN, num_convs: int = 1, up_scale: int = 4, kernel_size: int = 3,
                 init_cfg: dict | Sequence[dict] | None = _INIT, **kwargs):
        if kernel_size not in (1, 3):
            raise ValueError(f'kernel_size must be 1 or 3, found {kernel_size}')
        super().__init__(init_cfg=list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg, **kwargs)
        self.norm = build_norm_layer(norm_layer, self.in_channels)[1]
        self.up_convs = nn.ModuleList(
            nn.Sequential(ConvModule(self.channels if i else self.in_channels, self.channels, kernel_size,
                                     padding=kernel_size // 2, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg),
                          Upsample(scale_factor=up_scale, mode='bilinear', align_corners=self.align_corners))
            for i in range(num_convs))

    def forward(self, x: Sequence[torch.Tensor]) -> torch.Tensor:
        """Features of the backbone -> logits (B, num_classes, h * up_scale**num_convs, w * up_scale**num_convs)."""
        feature = self._transform_inputs(x)
        feature = nlc_to_nchw(self.norm(nchw_to_nlc(feature)), feature.shape[2:])
        for step in self.up_convs:
            feature = step(feature)
        return self.cls_seg(feature)
