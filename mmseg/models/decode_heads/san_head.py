"""Side Adapter Network for Open-Vocabulary Semantic Segmentation (SAN), https://arxiv.org/abs/2302.12242."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.dist import all_reduce
from mmengine.model import ModuleList
from mmengine.structures import InstanceData
from torch import nn

from mmseg.models.backbones.vit import TransformerEncoderLayer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import get_uncertain_point_coords_with_randomness, nchw_to_nlc, nlc_to_nchw
from mmseg.models.utils.backbone_options import freeze_but
from mmseg.models.utils.embed import PatchEmbed
from mmseg.models.utils.position_embedding import resize_position_embedding
from mmseg.models.utils.san_layers import MLP, LayerNorm2d, PreNormLayer, cross_attn_layer
from mmseg.ops import QueryMasks, point_sample, resize
from mmseg.registry import MODELS
from mmseg.utils.mask_classification import MatchMasks, check_instances, seg_data_to_instance_data
from mmseg.utils.typing_utils import ConfigType, SampleList

_GELU = dict(type='GELU')
_LN = dict(type='LN')
_FIRST_LAYERS = (0, 1, 2, 3)
_IMAGE_SIDE = 640  # pixels that the position embedding is made for
_APART = -100.  # added to the product of two tokens that do not attend to each other

ClipFeatures = Sequence[tuple[torch.Tensor, torch.Tensor]]


class MLPMaskDecoder(nn.Module):
    """Each query's mask, and what it shall look at inside CLIP: both are products of queries with features of places.

    Args:
        in_channels: of the queries and of the feature.
        total_heads, total_layers: heads of CLIP's layers, and for how many of these a bias is made.
        embed_channels: channels in which queries and places are compared.
        mlp_channels, mlp_num_layers: of the perceptrons before.
        rescale_attn_bias: learn a scale and a shift of the bias.
    """

    def __init__(self, *, in_channels: int, total_heads: int = 1, total_layers: int = 1, embed_channels: int = 256,
                 mlp_channels: int = 256, mlp_num_layers: int = 3, rescale_attn_bias: bool = False):
        super().__init__()
        self.total_heads, self.total_layers = total_heads, total_layers
        pointwise = partial(nn.Conv2d, kernel_size=1)
        self.query_mlp = MLP(in_channels, mlp_channels, embed_channels, mlp_num_layers)
        self.pix_mlp = MLP(in_channels, mlp_channels, embed_channels, mlp_num_layers, pointwise)
        self.attn_mlp = MLP(in_channels, mlp_channels, embed_channels * total_heads * total_layers, mlp_num_layers,
                            pointwise)
        self.bias_scaling = nn.Linear(1, 1) if rescale_attn_bias else None

    def forward(self, query: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Queries (B, Q, C) and a map (B, C, h, w) -> logits of masks (B, Q, h, w), and biases.

        There is a bias (B, heads, Q, h, w) for each of the `total_layers`.
        """
        query = self.query_mlp(query)
        masks = torch.einsum('bqc,bchw->bqhw', query, self.pix_mlp(x))
        keys = self.attn_mlp(x).unflatten(1, (self.total_layers, self.total_heads, -1))  # B layers heads C h w
        bias = torch.einsum('bqc,blnchw->blnqhw', query, keys)
        if self.bias_scaling is not None:
            bias = bias * self.bias_scaling.weight.squeeze() + self.bias_scaling.bias
        return masks, list(bias.unbind(1))


class SideAdapterNetwork(nn.Module):
    """A narrow transformer of queries and patches, to whose patches features of CLIP are added between the layers.

    Args:
        in_channels: of the image.
        clip_channels: of CLIP's features.
        embed_dims: channels of the tokens.
        patch_size: side of a patch.
        patch_bias: whether the patch embedding has a bias.
        num_queries: number of masks.
        fusion_index: before which layer each of CLIP's features is added.
        cfg_encoder: the transformer: `num_encode_layer`, `num_heads` and `mlp_ratio`.
        cfg_decoder: options of :class:`MLPMaskDecoder`: `num_heads`, `num_layers`, `embed_channels`, `mlp_channels`,
            `num_mlp` and `rescale`.
        norm_cfg: of the transformer.
    """

    def __init__(self, in_channels: int = 3, clip_channels: int = 768, embed_dims: int = 240, patch_size: int = 16,
                 patch_bias: bool = True, num_queries: int = 100, fusion_index: Sequence[int] = _FIRST_LAYERS,
                 cfg_encoder: ConfigType = ..., cfg_decoder: ConfigType = ..., norm_cfg: dict = _LN):
        super().__init__()
        for name, cfg in (('cfg_encoder', cfg_encoder), ('cfg_decoder', cfg_decoder)):
            if not isinstance(cfg, Mapping):
                raise ValueError(f'{name} of the side adapter network is not given: it has to say what the docstring '
                                 'of SideAdapterNetwork lists')
        self.fusion_index = list(fusion_index)
        self.patch_embed = PatchEmbed(in_channels, embed_dims, kernel_size=patch_size, stride=patch_size, padding=0,
                                      bias=patch_bias)
        self.grid = (_IMAGE_SIDE // patch_size,) * 2
        self.pos_embed = nn.Parameter(torch.zeros(1, math.prod(self.grid), embed_dims))
        self.query_pos_embed = nn.Parameter(torch.zeros(1, num_queries, embed_dims))
        self.query_embed = nn.Parameter(torch.zeros(1, num_queries, embed_dims))
        self.encode_layers = ModuleList(
            TransformerEncoderLayer(embed_dims, cfg_encoder['num_heads'], cfg_encoder['mlp_ratio'] * embed_dims,
                                    norm_cfg=norm_cfg) for _ in range(cfg_encoder['num_encode_layer']))
        self.conv_clips = nn.ModuleList(
            nn.Sequential(LayerNorm2d(clip_channels),
                          ConvModule(clip_channels, embed_dims, 1, norm_cfg=None, act_cfg=None))
            for _ in self.fusion_index)
        self.mask_decoder = MLPMaskDecoder(
            in_channels=embed_dims, total_heads=cfg_decoder['num_heads'], total_layers=cfg_decoder['num_layers'],
            embed_channels=cfg_decoder['embed_channels'], mlp_channels=cfg_decoder['mlp_channels'],
            mlp_num_layers=cfg_decoder['num_mlp'], rescale_attn_bias=cfg_decoder['rescale'])

    def init_weights(self) -> None:
        """Start as a vision transformer does; the queries from a normal distribution."""
        nn.init.trunc_normal_(self.pos_embed, std=.02)
        for embedding in (self.query_embed, self.query_pos_embed):
            nn.init.normal_(embedding, std=.02)
        for layer in self.encode_layers.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=.02)
                nn.init.zeros_(layer.bias)
        for fusion in self.conv_clips:
            nn.init.kaiming_uniform_(fusion[1].conv.weight, a=1)
            nn.init.zeros_(fusion[1].conv.bias)

    def fuse_clip(self, fused_index: int, x: torch.Tensor, clip_feature: torch.Tensor, hwshape: tuple[int, int],
                  L: int) -> torch.Tensor:
        """Add a feature of CLIP (B, clip_channels, h, w) to the last `L` of the tokens, a grid of `hwshape`."""
        feature = self.conv_clips[fused_index](clip_feature)
        feature = resize(feature, hwshape, mode='bilinear', align_corners=False)
        return torch.cat([x[:, :-L], x[:, -L:] + nchw_to_nlc(feature)], dim=1)

    def encode_feature(self, image: torch.Tensor, clip_features: ClipFeatures,
                       deep_supervision_idxs: Sequence[int]) -> list[list[torch.Tensor]]:
        """Return queries (B, Q, C) and a map (B, C, h, w) after each layer asked for, counted from 1, and the last."""
        patches, hw_shape = self.patch_embed(image)
        count = patches.shape[1]
        position = torch.cat([
            self.query_pos_embed, resize_position_embedding(self.pos_embed, self.grid, hw_shape)], dim=1)
        x = torch.cat([self.query_embed.expand(len(patches), -1, -1), patches], dim=1)  # B (Q + h w) C
        outs = []
        for i, layer in enumerate(self.encode_layers):
            x = x + position
            if i in self.fusion_index:
                index = self.fusion_index.index(i)
                x = self.fuse_clip(index, x, clip_features[index][0], hw_shape, count)
            x = layer(x)
            if i + 1 in deep_supervision_idxs or i + 1 == len(self.encode_layers):
                outs.append([x[:, :-count], nlc_to_nchw(x[:, -count:], hw_shape)])
        return outs

    def decode_feature(self, features: Sequence[Sequence[torch.Tensor]]
                       ) -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
        """Return masks and attention biases, see :class:`MLPMaskDecoder`, for each pair of queries and map."""
        decoded = [self.mask_decoder(query, x) for query, x in features]
        return [masks for masks, _ in decoded], [biases for _, biases in decoded]

    def forward(self, image: torch.Tensor, clip_features: ClipFeatures, deep_supervision_idxs: Sequence[int]
                ) -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
        """Image (B, 3, H, W) and CLIP's features -> masks and biases of the layers asked for and the last."""
        return self.decode_feature(self.encode_feature(image, clip_features, deep_supervision_idxs))


class RecWithAttnbias(nn.Module):
    """The last layers of CLIP, in which a copy of the class token for each query looks where its bias tells.

    Args:
        sos_token_format: what the queries' tokens start as: `'cls_token'`, copies of the class token;
            `'learnable_token'`; or `'pos_embedding'`, copies to each of which a learned vector is added.
        sos_token_num: number of queries.
        num_layers, num_heads: of the transformer.
        cross_attn: let the queries attend to the patches in a step of its own, without the class token.
        embed_dims: channels of the tokens.
        mlp_ratio, num_fcs: of the feed-forward layers.
        out_dims: channels of the result.
        final_norm: whether the result is normalised to length 1.
        frozen_exclude: parts of the names of parameters that learn while all others are frozen; `['all']` freezes none.
    """

    def __init__(self, sos_token_format: str = 'cls_token', sos_token_num: int = 100, num_layers: int = 3,
                 cross_attn: bool = False, embed_dims: int = 768, num_heads: int = 12, mlp_ratio: int = 4,
                 num_fcs: int = 2, qkv_bias: bool = True, out_dims: int = 512, final_norm: bool = True,
                 act_cfg: dict = _GELU, norm_cfg: dict = _LN, frozen_exclude: Sequence[str] = ()):
        super().__init__()
        formats = ('cls_token', 'learnable_token', 'pos_embedding')
        if sos_token_format not in formats:
            raise ValueError(f'sos_token_format {sos_token_format!r} is not one of {", ".join(formats)}')
        self.sos_token_format, self.sos_token_num = sos_token_format, sos_token_num
        self.cross_attn, self.final_norm, self.num_heads = cross_attn, final_norm, num_heads
        if sos_token_format != 'cls_token':
            self.sos_token = nn.Parameter(torch.zeros(sos_token_num, 1, embed_dims))
        self.layers = ModuleList(PreNormLayer(embed_dims, num_heads, mlp_ratio, num_fcs, qkv_bias, act_cfg, norm_cfg)
                                 for _ in range(num_layers))
        self.ln_post = build_norm_layer(norm_cfg, embed_dims)[1]
        self.proj = nn.Linear(embed_dims, out_dims, bias=False)
        freeze_but(self, frozen_exclude)

    def init_weights(self, rec_state_dict: Mapping[str, torch.Tensor] | None = None) -> None:
        """Take CLIP's weights, by the names of this module, or start with random ones."""
        if hasattr(self, 'sos_token'):
            nn.init.normal_(self.sos_token, std=.02)
        nn.init.normal_(self.proj.weight, std=self.proj.in_features**-.5)
        if rec_state_dict:
            self.load_state_dict(rec_state_dict, strict=not hasattr(self, 'sos_token'))

    def _sos_tokens(self, cls_token: torch.Tensor) -> torch.Tensor:
        """Class tokens (B, C) -> what each query starts with, (B, Q, C)."""
        tokens = cls_token.unsqueeze(1).expand(-1, self.sos_token_num, -1)
        if self.sos_token_format == 'cls_token':
            return tokens
        learned = self.sos_token.transpose(0, 1)  # 1 Q C
        return learned.expand_as(tokens) if self.sos_token_format == 'learnable_token' else tokens + learned

    def _biases(self, biases: Sequence[torch.Tensor], size: tuple[int, int]) -> list[torch.Tensor]:
        """Bring biases (B, heads, Q, h, w) to the grid of CLIP's patches: (B, heads, Q, patches) for each layer."""
        if len(biases) not in (1, len(self.layers)) or biases[0].shape[1] not in (1, self.num_heads):
            raise ValueError(f'{len(biases)} attention biases of {biases[0].shape[1]} heads do not fit '
                             f'{len(self.layers)} layers of {self.num_heads} heads: set num_layers of cfg_decoder to 1 '
                             'or the former, and num_heads to 1 or the latter')
        pooled = [F.adaptive_max_pool2d(bias.flatten(0, 1), size).flatten(2).unflatten(0, bias.shape[:2])
                  for bias in biases]
        pooled = [bias.expand(-1, self.num_heads, -1, -1) for bias in pooled]
        return pooled if len(pooled) == len(self.layers) else pooled * len(self.layers)

    def _mask(self, bias: torch.Tensor) -> torch.Tensor:
        """What is added to all products of the tokens Q queries, class token, patches: (B, heads, N, N).

        A query sees itself and, under its bias (B, heads, Q, patches), the patches; the others do not see any query.
        """
        batch, heads, queries, patches = bias.shape
        total = queries + 1 + patches
        mask = bias.new_zeros(total, total)
        mask[:, :queries] = _APART
        mask[:queries, queries] = _APART
        mask.fill_diagonal_(0)
        seen = F.pad(bias, (queries + 1, 0, 0, 1 + patches))  # B heads Q patches -> B heads N N
        return mask + seen

    def forward(self, bias: Sequence[torch.Tensor], feature: Sequence[torch.Tensor]) -> torch.Tensor:
        """Biases (B, heads, Q, h, w) and CLIP's last feature, a map and class tokens -> (B, Q, out_dims)."""
        patches, cls_token = feature
        biases = self._biases(bias, patches.shape[2:])
        sos = self._sos_tokens(cls_token)
        x = torch.cat([cls_token.unsqueeze(1), nchw_to_nlc(patches)], dim=1)  # B (1 + h w) C
        if self.cross_attn:
            sos = self._look_aside(sos, x, biases)
        else:
            x = torch.cat([sos, x], dim=1)
            for layer, own in zip(self.layers, biases):
                x = layer(x, self._mask(own))
            sos = x[:, :self.sos_token_num]
        sos = self.proj(self.ln_post(sos))
        return F.normalize(sos, dim=-1) if self.final_norm else sos

    def _look_aside(self, sos: torch.Tensor, x: torch.Tensor, biases: Sequence[torch.Tensor]) -> torch.Tensor:
        sos = sos.transpose(0, 1)  # B Q C -> Q B C
        for layer, own in zip(self.layers, biases):
            sos = cross_attn_layer(layer, sos, x[:, 1:].transpose(0, 1), own.flatten(0, 1))
            x = layer(x)
        return sos.transpose(0, 1)


@MODELS.register_module()
class SideAdapterCLIPHead(BaseDecodeHead):
    """Masks of the side adapter network, each named by the class whose text is nearest to what CLIP sees in it.

    Args:
        num_classes: number of classes; the text encoder adds one for what is none.
        san_cfg: options of :class:`SideAdapterNetwork`.
        maskgen_cfg: options of :class:`RecWithAttnbias`.
        deep_supervision_idxs: layers of the side adapter network, from 1, that are trained besides the last.
        train_cfg: `assigner`, which matches masks and classes of the image, and how the points are drawn on which masks
            are compared: `num_points`, `oversample_ratio` and `importance_sample_ratio`.
    """

    def __init__(self, num_classes: int, san_cfg: ConfigType, maskgen_cfg: ConfigType,
                 deep_supervision_idxs: Sequence[int], train_cfg: ConfigType, **kwargs):
        super().__init__(in_channels=san_cfg['in_channels'], channels=san_cfg['embed_dims'], num_classes=num_classes,
                         **kwargs)
        del self.conv_seg  # masks and texts take its place
        if san_cfg['num_queries'] != maskgen_cfg['sos_token_num']:
            raise ValueError(f'san_cfg.num_queries={san_cfg["num_queries"]} masks need as many tokens in CLIP, but '
                             f'maskgen_cfg.sos_token_num={maskgen_cfg["sos_token_num"]}')
        self.num_queries = san_cfg['num_queries']
        self.side_adapter_network = SideAdapterNetwork(**san_cfg)
        self.rec_with_attnbias = RecWithAttnbias(**maskgen_cfg)
        self.deep_supervision_idxs = list(deep_supervision_idxs)
        self.train_cfg = train_cfg
        if train_cfg:
            self.match_masks = MatchMasks(train_cfg['num_points'], self.num_queries, num_classes,
                                          train_cfg['assigner'])

    def init_weights(self) -> None:
        """Start both parts anew; the segmentor loads CLIP's weights."""
        self.side_adapter_network.init_weights()
        self.rec_with_attnbias.init_weights()

    def forward(self, inputs: Sequence, deep_supervision_idxs: Sequence[int] = ()
                ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Image (B, 3, H, W), CLIP's features and vectors of classes (N + 1, C) -> masks and scores.

        Returns:
            Logits of masks (B, Q, h, w) and of their classes (B, Q, N + 1), for each layer asked for and the last.
        """
        image, clip_features, class_vectors = inputs
        all_masks, all_biases = self.side_adapter_network(image, clip_features, deep_supervision_idxs)
        seen = [self.rec_with_attnbias(biases, clip_features[-1]) for biases in all_biases]
        return all_masks, [vectors @ class_vectors.to(vectors.dtype).T for vectors in seen]

    def predict(self, inputs: Sequence, batch_img_metas: list[dict], test_cfg: ConfigType) -> torch.Tensor:
        """Return scores of the classes at the size of the network's input, (B, N, H, W)."""
        masks, scores = self.forward(inputs, ())
        return self.predict_by_feat([masks[-1], scores[-1]], batch_img_metas)

    def native_logits(self, inputs: Sequence, batch_img_metas: list[dict],
                      test_cfg: ConfigType) -> torch.Tensor | QueryMasks:
        """Return what logits are made of, for labels in bounded memory; logits where a subclass predicts its own."""
        ours = SideAdapterCLIPHead
        if (type(self).predict, type(self).predict_by_feat) != (ours.predict, ours.predict_by_feat):
            return self.predict(inputs, batch_img_metas, test_cfg)
        masks, scores = self.forward(inputs, ())
        return _query_masks(masks[-1], scores[-1])

    def predict_by_feat(self, seg_logits: Sequence[torch.Tensor], batch_img_metas: list[dict]) -> torch.Tensor:
        """Add up masks (B, Q, h, w), enlarged, by their classes (B, Q, N + 1): (B, N, H, W)."""
        masks, scores = seg_logits
        meta = batch_img_metas[0]
        size = tuple(meta.get('pad_shape', meta['img_shape']))[:2]
        return _query_masks(masks, scores).logits(size)

    def loss(self, x: Sequence, batch_data_samples: SampleList, train_cfg: ConfigType) -> dict:
        """Return the losses of the last layer, and with a prefix `d7.` those of layer 7 and so on."""
        found = x[-1].shape[0]
        if found != self.num_classes + 1:
            raise ValueError(f'num_classes={self.num_classes} takes {self.num_classes} texts and one for what is no '
                             f'class (cat_bg=True of the text encoder), found {found}')
        instances, _ = seg_data_to_instance_data(self.ignore_index, batch_data_samples)
        check_instances(instances, batch_data_samples, self.num_classes, self.ignore_index)
        masks, scores = self.forward(x, self.deep_supervision_idxs)
        return self.loss_by_feat(scores, masks, instances)

    def loss_by_feat(self, all_cls_scores: Sequence[torch.Tensor], all_mask_preds: Sequence[torch.Tensor],
                     batch_gt_instances: list[InstanceData]) -> dict[str, torch.Tensor]:
        """Return the losses of each layer's scores (B, Q, N + 1) and masks (B, Q, h, w); the last has no prefix."""
        names = [*(f'd{layer}.' for layer in self.deep_supervision_idxs), '']
        return {f'{prefix}{name}': value
                for prefix, scores, masks in zip(names, all_cls_scores, all_mask_preds)
                for name, value in self._losses_of_layer(scores, masks, batch_gt_instances).items()}

    def _losses_of_layer(self, scores: torch.Tensor, masks: torch.Tensor,
                         instances: list[InstanceData]) -> dict[str, torch.Tensor]:
        matches = self.match_masks.match(scores, masks, instances)
        masks = masks.flatten(0, 1)[matches.query]  # K h w
        targets = torch.cat([instance.masks for instance in instances])[matches.mask]  # K H W
        count = torch.tensor(float(len(targets)), device=masks.device)
        all_reduce(count, op='mean')
        count = count.clamp(min=1)
        at_points = self._on_points(masks, targets) if len(targets) else None
        losses = {}
        for loss in self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]:
            name = loss.loss_name
            if name.startswith('loss_cls'):
                losses[name] = loss(scores.flatten(0, 1), matches.labels.flatten())
            elif at_points is None:  # no mask at all: zero, of a graph like that of other processes
                losses[name] = masks.sum()
            else:
                points = self.train_cfg['num_points'] if name.endswith('_ce') else 1
                losses[name] = loss(*at_points, avg_factor=count * points)
        return losses

    def _on_points(self, masks: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Sample masks (K, h, w) and true masks (K, H, W) where the former are uncertain: twice (K, points)."""
        masks, targets = masks.unsqueeze(1), targets.unsqueeze(1).to(masks.dtype)
        with torch.no_grad():
            points = get_uncertain_point_coords_with_randomness(
                masks, None, *(self.train_cfg[key] for key in (
                    'num_points', 'oversample_ratio', 'importance_sample_ratio')))
            at_targets = point_sample(targets, points).squeeze(1)
        return point_sample(masks, points).squeeze(1), at_targets


def _query_masks(masks: torch.Tensor, scores: torch.Tensor) -> QueryMasks:
    return QueryMasks(scores.float().softmax(dim=-1)[..., :-1], masks.float())
