"""MaskFormer: Per-Pixel Classification is Not All You Need for Semantic Segmentation,
https://arxiv.org/abs/2107.06278."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule, caffe2_xavier_init
from mmengine.structures import InstanceData
from torch import nn

from mmseg.models.losses.utils import full_precision
from mmseg.models.utils import nchw_to_nlc
from mmseg.models.utils.detr_layers import DetrTransformerDecoder
from mmseg.models.utils.pixel_decoder import PixelDecoder
from mmseg.models.utils.sine_positional_encoding import SinePositionalEncoding
from mmseg.ops import QueryMasks, resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils.mask_classification import (
    Matches,
    MatchMasks,
    MatchWholeMasks,
    check_instances,
    seg_data_to_instance_data,
)
from mmseg.utils.typing_utils import ConfigType, SampleList

_SINE = dict(num_feats=128, normalize=True)
_CLASS_LOSS = dict(type='mmdet.CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
_MASK_LOSS = dict(type='mmdet.FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=20.0)
_DICE_LOSS = dict(type='mmdet.DiceLoss', use_sigmoid=True, activate=True, naive_dice=True, loss_weight=1.0)
NO_OBJECT_WEIGHT = 0.1


@MODELS.register_module()
class MaskFormerHead(BaseModule):
    """Each query predicts one mask and its class; a pixel's logit of a class is the sum over the queries.

    Args:
        num_classes: number of classes of the data set; queries know one more, no object.
        align_corners: how logits are resized from the input's to the original size.
        ignore_index: label without a class.
        in_channels: of the features that it takes.
        feat_channels: of queries and pixel decoder.
        out_channels: of the map whose products with the queries are masks.
        in_index: which features; all where None.
        num_queries: their number.
        pixel_decoder: config of a pixel decoder.
        enforce_decoder_input_project: put a convolution before the transformer decoder also where widths agree.
        transformer_decoder: arguments of :class:`DetrTransformerDecoder`.
        positional_encoding: arguments of :class:`SinePositionalEncoding`.
        loss_cls: of the queries' classes; its `class_weight` has a number for each class and for no object, 1 and 0.1
            where it is None or left out.
        loss_mask, loss_dice: of the masks' pixels.
        train_cfg: `assigner`, which matches queries with masks.
        num_things_classes, num_stuff_classes: not used: every class is one of stuff.
        test_cfg: not used.

    Attributes:
        out_channels: channels of the logits, `num_classes`.
    """

    input_transform = 'multiple_select'
    draw_weights = staticmethod(nn.init.xavier_uniform_)

    def __init__(self,
                 num_classes: int = 150,
                 align_corners: bool = False,
                 ignore_index: int = 255,
                 *,
                 in_channels: Sequence[int],
                 feat_channels: int,
                 out_channels: int,
                 in_index: Sequence[int] | None = None,
                 num_queries: int = 100,
                 pixel_decoder: ConfigType,
                 enforce_decoder_input_project: bool = False,
                 transformer_decoder: ConfigType,
                 positional_encoding: ConfigType = _SINE,
                 loss_cls: ConfigType = _CLASS_LOSS,
                 loss_mask: ConfigType = _MASK_LOSS,
                 loss_dice: ConfigType = _DICE_LOSS,
                 train_cfg: ConfigType | None = None,
                 test_cfg: ConfigType | None = None,
                 num_things_classes: int | None = None,
                 num_stuff_classes: int | None = None,
                 init_cfg: ConfigType | None = None):
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.out_channels = num_classes
        self.align_corners = align_corners
        self.ignore_index = ignore_index
        self.in_channels = list(in_channels)
        self.in_index = list(range(len(in_channels)) if in_index is None else in_index)
        if len(self.in_index) != len(self.in_channels):
            raise ValueError(f'in_channels and in_index must have one length, found {self.in_channels} and '
                             f'{self.in_index}')
        self.num_queries = num_queries
        self.pixel_decoder = MODELS.build(dict(pixel_decoder, in_channels=self.in_channels,
                                               feat_channels=feat_channels, out_channels=out_channels))
        self._init_decoder(feat_channels, transformer_decoder, positional_encoding, enforce_decoder_input_project)
        self.cls_embed = nn.Linear(feat_channels, num_classes + 1)
        self.mask_embed = nn.Sequential(nn.Linear(feat_channels, feat_channels), nn.ReLU(inplace=True),
                                        nn.Linear(feat_channels, feat_channels), nn.ReLU(inplace=True),
                                        nn.Linear(feat_channels, out_channels))
        self.class_weight = list(loss_cls.get('class_weight') or [1.0] * num_classes + [NO_OBJECT_WEIGHT])
        if len(self.class_weight) != num_classes + 1:
            raise ValueError(f'loss_cls.class_weight has {len(self.class_weight)} numbers: num_classes={num_classes} '
                             f'and no object need {num_classes + 1}; give these, or None for 1 and {NO_OBJECT_WEIGHT}')
        self.loss_cls = MODELS.build(dict(loss_cls, class_weight=self.class_weight))
        self.loss_mask = MODELS.build(loss_mask)
        self.loss_dice = MODELS.build(loss_dice)
        self.matcher = self._matcher(dict(train_cfg)) if train_cfg else None

    def _init_decoder(self, feat_channels: int, transformer_decoder: ConfigType, positional_encoding: ConfigType,
                      enforce_projection: bool) -> None:
        """Make the transformer decoder, and what it starts from."""
        self.transformer_decoder = MODELS.build({'type': DetrTransformerDecoder, **transformer_decoder})
        self.decoder_pe = SinePositionalEncoding(**positional_encoding)
        width = self._check_width(feat_channels)
        # The plain pixel decoder hands on the backbone's feature, others one of their own width.
        plain = type(self.pixel_decoder) is PixelDecoder
        if plain and (self.in_channels[-1] != width or enforce_projection):
            self.decoder_input_proj = nn.Conv2d(self.in_channels[-1], width, 1)
        else:
            self.decoder_input_proj = nn.Identity()
        self.query_embed = nn.Embedding(self.num_queries, width)

    def _check_width(self, feat_channels: int) -> int:
        width = self.transformer_decoder.embed_dims
        if width != feat_channels or 2 * self.decoder_pe.num_feats != feat_channels:
            raise ValueError(f'feat_channels={feat_channels} must equal embed_dims={width} of transformer_decoder and '
                             f'twice num_feats={self.decoder_pe.num_feats} of positional_encoding')
        return width

    def _matcher(self, train_cfg: dict) -> MatchMasks:
        _check_sampler(train_cfg)
        return MatchWholeMasks(self.num_queries, self.num_classes, train_cfg.get('assigner'))

    def init_weights(self) -> None:
        """Start as the paper does: see the pixel decoder; matrices of the transformer decoder by Xavier's method."""
        if self.init_cfg is not None:
            super().init_weights()
            return
        self.pixel_decoder.init_weights()
        for name, module in self.named_modules():
            if name.startswith('decoder_input_proj') and isinstance(module, nn.Conv2d):
                caffe2_xavier_init(module, bias=0)
        for weight in self.transformer_decoder.parameters():
            if weight.ndim > 1:
                self.draw_weights(weight)

    def forward(self, x: Sequence[torch.Tensor],
                batch_data_samples: SampleList | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Take features of a backbone to the logits of the queries' classes and masks.

        Returns:
            (L, B, Q, num_classes + 1) and (L, B, Q, h, w), after each of L decoder layers in training, or after the
            last one only: L = 1.
        """
        features = [x[i] for i in self.in_index]
        padding = _padding([sample.metainfo for sample in batch_data_samples or ()], features[-1])
        mask_features, memory = self.pixel_decoder(features, padding)
        position = nchw_to_nlc(self.decoder_pe(padding, memory))
        memory = nchw_to_nlc(self.decoder_input_proj(memory))  # B C h w -> B (h w) C
        query_embed = self.query_embed.weight.expand(len(memory), -1, -1)
        queries = self.transformer_decoder(
            query=torch.zeros_like(query_embed), key=memory + position, value=memory, query_pos=query_embed,
            mask=None if padding is None else ~padding.flatten(1)[:, None, None])  # L B Q C
        return self._classes_and_masks(queries if self.training else queries[-1:], mask_features)

    def _classes_and_masks(self, queries: torch.Tensor,
                           mask_features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (..., B, Q, C) and the map of the masks (B, C', h, w) -> what `forward` returns."""
        masks = torch.einsum('...bqc,bchw->...bqhw', self.mask_embed(queries), mask_features)
        return self.cls_embed(queries), masks

    def loss(self, x: Sequence[torch.Tensor], batch_data_samples: SampleList, train_cfg: ConfigType) -> dict:
        """Return the losses of a training step by name, those of all but the last decoder layer with `d0.` etc."""
        if self.matcher is None:
            raise ValueError(f'{type(self).__name__} cannot learn without train_cfg of its own: give '
                             "train_cfg=dict(assigner=dict(type='HungarianAssigner', match_costs=[…]))")
        instances, _ = seg_data_to_instance_data(self.ignore_index, batch_data_samples)
        check_instances(instances, batch_data_samples, self.num_classes, self.ignore_index)
        cls_scores, mask_preds = self(x, batch_data_samples)
        return self.loss_by_feat(cls_scores, mask_preds, instances)

    def loss_by_feat(self, all_cls_scores: Sequence[torch.Tensor], all_mask_preds: Sequence[torch.Tensor],
                     batch_gt_instances: Sequence[InstanceData]) -> dict:
        """Compare the queries after each decoder layer with the masks of the labels that they are matched with.

        Args:
            all_cls_scores, all_mask_preds: (B, Q, num_classes + 1) and (B, Q, h, w) logits after each layer.
            batch_gt_instances: `labels` (G,) and `masks` (G, H, W) of each image.
        """
        targets = torch.cat([instance.masks for instance in batch_gt_instances])
        class_weight = all_cls_scores[0].new_tensor(self.class_weight, dtype=torch.float32)
        matched = sum(min(len(instance.labels), self.num_queries) for instance in batch_gt_instances)
        mean_matched = class_weight.new_tensor(float(matched))
        all_reduce(mean_matched, 'mean')  # over the processes, whose gradients are averaged
        mean_matched = mean_matched.clamp(min=1)

        losses, last = {}, len(all_cls_scores) - 1
        for layer, (cls_scores, mask_preds) in enumerate(zip(all_cls_scores, all_mask_preds)):
            matches = self.matcher.match(cls_scores, mask_preds, batch_gt_instances)
            of_classes = self._class_loss(cls_scores, matches, class_weight)
            masks = full_precision(mask_preds.flatten(0, 1)[matches.query])  # K h w
            if len(masks):
                of_masks, dice = self._mask_losses(masks, targets[matches.mask], mean_matched)
            else:  # every parameter keeps its place in the graph
                of_masks = dice = masks.sum()
            prefix = '' if layer == last else f'd{layer}.'
            losses.update({f'{prefix}loss_cls': of_classes, f'{prefix}loss_mask': of_masks,
                           f'{prefix}loss_dice': dice})
        return losses

    def _class_loss(self, cls_scores: torch.Tensor, matches: Matches, class_weight: torch.Tensor) -> torch.Tensor:
        """The loss of each query's class, divided by the sum of their weights."""
        labels = matches.labels.flatten()
        return self.loss_cls(cls_scores.flatten(0, 1), labels, avg_factor=class_weight[labels].sum())

    def _mask_losses(self, masks: torch.Tensor, targets: torch.Tensor,
                     mean_matched: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The losses of K masks, logits (K, h, w), against (K, H, W): of each pixel, and of each mask."""
        masks = resize(masks[:, None], targets.shape[1:], mode='bilinear', align_corners=False)
        return self._losses_of_rows(masks.flatten(1), targets.flatten(1), mean_matched)

    def _losses_of_rows(self, masks: torch.Tensor, targets: torch.Tensor,
                        mean_matched: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same of (K, P) pixels."""
        dice = self.loss_dice(masks, targets, avg_factor=mean_matched)
        of_masks = self.loss_mask(masks.flatten(), targets.flatten(), avg_factor=mean_matched * masks.shape[1])
        return of_masks, dice

    def predict(self, x: Sequence[torch.Tensor], batch_img_metas: list[dict], test_cfg: ConfigType) -> torch.Tensor:
        """Return logits at the size of the network's input, that is after padding, (N, C, H, W)."""
        meta = batch_img_metas[0]
        return self._query_masks(x, batch_img_metas).logits(tuple(meta.get('pad_shape', meta['img_shape']))[:2])

    def native_logits(self, x: Sequence[torch.Tensor], batch_img_metas: list[dict],
                      test_cfg: ConfigType) -> torch.Tensor | QueryMasks:
        """Return what logits are made of, for labels in bounded memory; logits where a subclass predicts its own."""
        if type(self).predict is not MaskFormerHead.predict:
            return self.predict(x, batch_img_metas, test_cfg)
        return self._query_masks(x, batch_img_metas)

    def _query_masks(self, x: Sequence[torch.Tensor], batch_img_metas: list[dict]) -> QueryMasks:
        cls_scores, mask_preds = self(x, [SegDataSample(metainfo=meta) for meta in batch_img_metas])
        return QueryMasks(cls_scores[-1].float().softmax(-1)[..., :-1], mask_preds[-1].float())


def _check_sampler(train_cfg: dict) -> None:
    sampler = train_cfg.get('sampler')
    if sampler is not None and sampler['type'].rpartition('.')[2] != 'MaskPseudoSampler':
        raise ValueError(f'train_cfg.sampler {sampler["type"]!r} is not known: every match is learnt from, which is '
                         "'mmdet.MaskPseudoSampler'; use this or leave it out")


def _padding(metas: Sequence[dict], feature: torch.Tensor) -> torch.Tensor | None:
    """Where a feature (B, C, h, w) sees nothing but padding at the right and bottom: (B, h, w), or None if nowhere."""
    images = [meta.get('img_shape', ()) for meta in metas]
    inputs = [meta.get('pad_shape', image) for meta, image in zip(metas, images)]
    if all(tuple(image[:2]) == tuple(whole[:2]) for image, whole in zip(images, inputs)):
        return None
    rows, columns = (torch.stack([torch.arange(length) * whole[axis] // length >= image[axis]
                                  for image, whole in zip(images, inputs)])
                     for axis, length in enumerate(feature.shape[2:]))  # B h, B w
    return (rows[:, :, None] | columns[:, None]).to(feature.device)
