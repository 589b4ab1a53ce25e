"""Pixel decoders of MaskFormer, https://arxiv.org/abs/2107.06278, and Mask2Former, https://arxiv.org/abs/2112.01527.

From the features of a backbone they make one map at its finest stride, whose products with queries are masks, and what
a transformer decoder looks at.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList, caffe2_xavier_init, xavier_init
from torch import nn

from mmseg.models.utils.detr_layers import DeformableDetrTransformerEncoder, DetrTransformerEncoder
from mmseg.models.utils.shape_convert import nchw_to_nlc, nlc_to_nchw
from mmseg.models.utils.sine_positional_encoding import SinePositionalEncoding
from mmseg.ops import resize
from mmseg.registry import MODELS

_GN = dict(type='GN', num_groups=32)
_RELU = dict(type='ReLU')
_SINE = dict(num_feats=128, normalize=True)
_ENCODER = dict(num_layers=6, layer_cfg=dict(
    self_attn_cfg=dict(embed_dims=256, num_heads=8, num_levels=3, num_points=4, im2col_step=64, dropout=0.0,
                       batch_first=True),
    ffn_cfg=dict(embed_dims=256, feedforward_channels=1024, num_fcs=2, ffn_drop=0.0,
                 act_cfg=dict(type='ReLU', inplace=True))))


def _convs(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


@MODELS.register_module()
class PixelDecoder(BaseModule):
    """A feature pyramid whose finest level becomes the map of the masks.

    Args:
        in_channels: of the backbone's features, the finest first.
        feat_channels: of the pyramid.
        out_channels: of the map.
    """

    def __init__(self, in_channels: Sequence[int], feat_channels: int, out_channels: int, norm_cfg: dict = _GN,
                 act_cfg: dict = _RELU, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.in_channels = list(in_channels)
        self.num_inputs = len(in_channels)
        options = dict(bias=norm_cfg is None, norm_cfg=norm_cfg)
        self.lateral_convs = ModuleList(
            ConvModule(channels, feat_channels, 1, act_cfg=None, **options) for channels in self.in_channels[:-1])
        self.output_convs = ModuleList(
            ConvModule(feat_channels, feat_channels, 3, padding=1, act_cfg=act_cfg, **options)
            for _ in self.in_channels[:-1])
        self._init_top(feat_channels, dict(options, act_cfg=act_cfg))
        self.mask_feature = nn.Conv2d(feat_channels, out_channels, 3, padding=1)

    def _init_top(self, feat_channels: int, options: dict) -> None:
        self.last_feat_conv = ConvModule(self.in_channels[-1], feat_channels, 3, padding=1, **options)

    def init_weights(self) -> None:
        """Draw convolutions from a uniform distribution after their fan-in, with biases of zero."""
        for conv in _convs(self):
            caffe2_xavier_init(conv, bias=0)

    def _top(self, feature: torch.Tensor, padding: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """The coarsest feature as the top of the pyramid, and as what the transformer decoder looks at."""
        return self.last_feat_conv(feature), feature

    def forward(self, feats: Sequence[torch.Tensor],
                padding: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of a backbone -> the map of the masks, and what the transformer decoder looks at.

        Args:
            padding: (B, h, w) of the coarsest feature, true where the image is padded.
        """
        y, memory = self._top(feats[-1], padding)
        levels = list(zip(feats, self.lateral_convs, self.output_convs))
        for feature, lateral, output in reversed(levels):
            side = lateral(feature)
            y = output(side + resize(y, side.shape[2:], mode='nearest'))
        return self.mask_feature(y), memory


@MODELS.register_module()
class TransformerEncoderPixelDecoder(PixelDecoder):
    """The same over a transformer encoder of the coarsest feature.

    Args:
        encoder: arguments of :class:`DetrTransformerEncoder`.
        positional_encoding: arguments of :class:`SinePositionalEncoding`.
    """

    def __init__(self, in_channels: Sequence[int], feat_channels: int, out_channels: int, norm_cfg: dict = _GN,
                 act_cfg: dict = _RELU, encoder: dict | None = None, positional_encoding: dict = _SINE,
                 init_cfg: dict | None = None):
        super().__init__(in_channels, feat_channels, out_channels, norm_cfg, act_cfg, init_cfg)
        self.encoder = DetrTransformerEncoder(**(encoder or dict(num_layers=6)))
        self.positional_encoding = SinePositionalEncoding(**positional_encoding)
        _check_width(self.encoder, feat_channels)

    def _init_top(self, feat_channels: int, options: dict) -> None:
        self.encoder_in_proj = nn.Conv2d(self.in_channels[-1], feat_channels, 1)
        self.encoder_out_proj = ConvModule(feat_channels, feat_channels, 3, padding=1, **options)

    def init_weights(self) -> None:
        """As :class:`PixelDecoder`, and the encoder's matrices by Xavier's uniform distribution."""
        super().init_weights()
        for weight in self.encoder.parameters():
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)

    def _top(self, feature: torch.Tensor, padding: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        feature = self.encoder_in_proj(feature)
        position = self.positional_encoding(padding, feature)
        mask = None if padding is None else ~padding.flatten(1)[:, None, None]  # B h w -> B 1 1 (h w)
        tokens = self.encoder(nchw_to_nlc(feature), nchw_to_nlc(position), mask=mask)
        memory = nlc_to_nchw(tokens, feature.shape[2:])
        return self.encoder_out_proj(memory), memory


@MODELS.register_module()
class MSDeformAttnPixelDecoder(BaseModule):
    """A deformable encoder of the coarser features; the finer ones join it as in a feature pyramid.

    Args:
        in_channels: of the backbone's features, the finest first.
        strides: of the features; the places of the encoder follow from their sizes.
        feat_channels: of the encoder.
        out_channels: of the map of the masks.
        num_outs: how many of the levels, from the coarsest on, a transformer decoder gets.
        encoder: arguments of :class:`DeformableDetrTransformerEncoder`; its `num_levels` coarsest features are encoded.
        positional_encoding: arguments of :class:`SinePositionalEncoding`.
    """

    def __init__(self, in_channels: Sequence[int] = (256, 512, 1024, 2048), strides: Sequence[int] = (4, 8, 16, 32),
                 feat_channels: int = 256, out_channels: int = 256, num_outs: int = 3, norm_cfg: dict = _GN,
                 act_cfg: dict = _RELU, encoder: dict = _ENCODER, positional_encoding: dict = _SINE,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.encoder = DeformableDetrTransformerEncoder(**encoder)
        _check_width(self.encoder, feat_channels)
        levels = self.encoder.layers[0].self_attn.num_levels
        if not 1 <= levels <= len(in_channels):
            raise ValueError(f'num_levels={levels} of the encoder must be from 1 to the number of features, which is '
                             f'{len(in_channels)}')
        if not 1 <= num_outs <= len(in_channels):
            raise ValueError(f'num_outs={num_outs} must be from 1 to the number of features, which is '
                             f'{len(in_channels)}')
        self.num_encoder_levels = levels
        self.num_outs = num_outs
        # Lists go from coarse to fine, as the forward pass does.
        coarse, fine = list(in_channels[::-1][:levels]), list(in_channels[::-1][levels:])
        options = dict(bias=norm_cfg is None, norm_cfg=norm_cfg)
        self.input_convs = ModuleList(
            ConvModule(channels, feat_channels, 1, norm_cfg=norm_cfg, act_cfg=None, bias=True) for channels in coarse)
        self.lateral_convs = ModuleList(
            ConvModule(channels, feat_channels, 1, act_cfg=None, **options) for channels in fine)
        self.output_convs = ModuleList(
            ConvModule(feat_channels, feat_channels, 3, padding=1, act_cfg=act_cfg, **options) for _ in fine)
        self.positional_encoding = SinePositionalEncoding(**positional_encoding)
        self.level_encoding = nn.Embedding(levels, feat_channels)
        self.mask_feature = nn.Conv2d(feat_channels, out_channels, 1)

    def init_weights(self) -> None:
        """Draw convolutions and the encoder's matrices as the paper does, its attention as its own paper does."""
        for module, draw in ((self.input_convs, xavier_init), (self.lateral_convs, caffe2_xavier_init),
                             (self.output_convs, caffe2_xavier_init), (self.mask_feature, caffe2_xavier_init)):
            for conv in _convs(module):
                draw(conv, bias=0, **(dict(distribution='uniform') if draw is xavier_init else {}))
        nn.init.normal_(self.level_encoding.weight)
        for weight in self.encoder.parameters():
            if weight.ndim > 1:
                nn.init.xavier_normal_(weight)
        for layer in self.encoder.layers:
            layer.self_attn.init_weights()

    def forward(self, feats: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Features of a backbone -> the map of the masks, and `num_outs` levels from the coarsest on."""
        feats = feats[::-1]  # coarse to fine
        levels = [conv(feature) for conv, feature in zip(self.input_convs, feats)]
        shapes = [tuple(level.shape[2:]) for level in levels]
        positions = [self.positional_encoding(input=level[:1]) + encoding[:, None, None]
                     for level, encoding in zip(levels, self.level_encoding.weight)]
        tokens = self.encoder(_as_tokens(levels), _as_tokens(positions), spatial_shapes=shapes,
                              reference_points=_centres(shapes, levels[0].device))
        areas = [height * width for height, width in shapes]
        outs = [nlc_to_nchw(part, shape) for part, shape in zip(tokens.split(areas, dim=1), shapes)]
        for feature, lateral, output in zip(feats[self.num_encoder_levels:], self.lateral_convs, self.output_convs):
            side = lateral(feature)
            outs.append(output(side + resize(outs[-1], side.shape[2:], mode='bilinear', align_corners=False)))
        return self.mask_feature(outs[-1]), outs[:self.num_outs]


def _check_width(encoder: BaseModule, feat_channels: int) -> None:
    if encoder.embed_dims != feat_channels:
        raise ValueError(f'embed_dims={encoder.embed_dims} of the encoder must equal feat_channels={feat_channels}')


def _as_tokens(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Several maps row by row and one after another: B C h w, … -> B (h w + …) C."""
    return torch.cat([nchw_to_nlc(each) for each in maps], dim=1)


def _centres(shapes: Sequence[tuple[int, int]], device: torch.device) -> torch.Tensor:
    """Where each place of the maps lies in an image of height and width 1: (1, h w + …, 1, 2), x and y."""
    places = []
    for height, width in shapes:
        y, x = ((torch.arange(side, device=device) + 0.5) / side for side in (height, width))
        places.append(torch.stack(torch.broadcast_tensors(x[None], y[:, None]), dim=-1).flatten(0, 1))
    return torch.cat(places)[None, :, None]
