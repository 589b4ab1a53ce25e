"""Mask2Former: Masked-attention Mask Transformer for Universal Image Segmentation, https://arxiv.org/abs/2112.01527."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mmseg.models.decode_heads.maskformer_head import MaskFormerHead, _check_sampler
from mmseg.models.utils import nchw_to_nlc
from mmseg.models.utils.detr_layers import Mask2FormerTransformerDecoder
from mmseg.models.utils.point_sample import get_uncertain_point_coords_with_randomness
from mmseg.models.utils.sine_positional_encoding import SinePositionalEncoding
from mmseg.ops import point_sample, resize
from mmseg.registry import MODELS
from mmseg.utils.mask_classification import MatchMasks
from mmseg.utils.typing_utils import ConfigType, SampleList


@MODELS.register_module()
class Mask2FormerHead(MaskFormerHead):
    """MaskFormer whose queries look only into the masks that they predicted before, at one level after another.

    Args:
        num_transformer_feat_level: levels of the pixel decoder that the queries look at in turn.
        strides: of the features, for the pixel decoder.
        transformer_decoder: arguments of :class:`Mask2FormerTransformerDecoder`.
        train_cfg: besides `assigner`: `num_points` at which masks are compared, `oversample_ratio` and
            `importance_sample_ratio` (see :func:`uncertain_points`).
        kwargs: see :class:`MaskFormerHead`.
    """

    draw_weights = staticmethod(nn.init.xavier_normal_)

    def __init__(self, num_classes: int, align_corners: bool = False, ignore_index: int = 255, *,
                 num_transformer_feat_level: int = 3, strides: Sequence[int] | None = None, pixel_decoder: ConfigType,
                 **kwargs):
        self.num_levels = num_transformer_feat_level
        if strides is not None:
            pixel_decoder = dict(pixel_decoder, strides=strides)
        super().__init__(num_classes, align_corners, ignore_index, pixel_decoder=pixel_decoder, **kwargs)

    def _init_decoder(self, feat_channels: int, transformer_decoder: ConfigType, positional_encoding: ConfigType,
                      enforce_projection: bool) -> None:
        self.transformer_decoder = MODELS.build({'type': Mask2FormerTransformerDecoder, **transformer_decoder})
        self.decoder_pe = SinePositionalEncoding(**positional_encoding)
        width = self._check_width(feat_channels)
        if self.pixel_decoder.num_outs < self.num_levels:
            raise ValueError(f'num_transformer_feat_level={self.num_levels} needs as many levels of the pixel decoder, '
                             f'which has num_outs={self.pixel_decoder.num_outs}')
        self.decoder_input_projs = nn.ModuleList(
            nn.Conv2d(feat_channels, width, 1) if enforce_projection else nn.Identity()
            for _ in range(self.num_levels))
        self.query_embed = nn.Embedding(self.num_queries, width)
        self.query_feat = nn.Embedding(self.num_queries, width)
        self.level_embed = nn.Embedding(self.num_levels, width)

    def _matcher(self, train_cfg: dict) -> MatchMasks:
        _check_sampler(train_cfg)
        self.num_points = train_cfg.get('num_points', 12544)
        self.oversample_ratio = train_cfg.get('oversample_ratio', 3.0)
        self.importance_sample_ratio = train_cfg.get('importance_sample_ratio', 0.75)
        return MatchMasks(self.num_points, self.num_queries, self.num_classes, train_cfg.get('assigner'))

    def forward(self, x: Sequence[torch.Tensor],
                batch_data_samples: SampleList | None = None) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Take features of a backbone to the logits of the queries' classes and masks.

        Returns:
            (B, Q, num_classes + 1) and (B, Q, h, w) each, before the first and after each of L decoder layers in
            training (L + 1 of them), or after the last one only.
        """
        mask_features, levels = self.pixel_decoder([x[i] for i in self.in_index])
        levels = levels[:self.num_levels]
        values = [nchw_to_nlc(project(level)) + embedding
                  for project, level, embedding in zip(self.decoder_input_projs, levels, self.level_embed.weight)]
        keys = [value + nchw_to_nlc(self.decoder_pe(input=level)) for value, level in zip(values, levels)]

        query, query_embed = (part.weight.expand(len(mask_features), -1, -1)
                              for part in (self.query_feat, self.query_embed))
        every = [self._classes_and_masks(self.transformer_decoder.post_norm(query), mask_features)]
        for i, layer in enumerate(self.transformer_decoder.layers):
            level = i % self.num_levels
            seen = _seen(every[-1][1], levels[level].shape[2:])
            query = layer(query, keys[level], values[level], query_embed, seen)
            new = self._classes_and_masks(self.transformer_decoder.post_norm(query), mask_features)
            every = [*every, new] if self.training else [new]
        cls_scores, mask_preds = map(list, zip(*every))
        return cls_scores, mask_preds

    def _mask_losses(self, masks: torch.Tensor, targets: torch.Tensor,
                     mean_matched: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The losses of K masks, logits (K, h, w), against (K, H, W), at points where the masks are uncertain."""
        masks = masks[:, None]
        with torch.no_grad():
            points = get_uncertain_point_coords_with_randomness(
                masks, None, self.num_points, self.oversample_ratio, self.importance_sample_ratio)
            targets = point_sample(targets[:, None].float(), points).squeeze(1)
        return self._losses_of_rows(point_sample(masks, points).squeeze(1), targets, mean_matched)


@torch.no_grad()
def _seen(masks: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Which places of a level of `size` lie in each query's mask: (B, Q, h, w) -> (B, 1, Q, h' w'); an empty mask sees
    all of them."""
    seen = resize(masks, size, mode='bilinear', align_corners=False).flatten(2) >= 0
    return (seen | ~seen.any(-1, keepdim=True)).unsqueeze(1)
