"""A small specimen of every registered backbone and decode head: what `test_every_network.py` runs.

Whoever registers a new one adds a row here.
"""
from __future__ import annotations

from importlib import import_module

import torch
from torch import nn

from mmseg.registry import MODELS

BN = dict(type='BN')

# Registered names whose modules are still to come; a name leaves the list when its module appears.
NOT_YET = frozenset()

# Registered by these packages, but no backbone or head by themselves.
PARTS = frozenset(['DeconvModule', 'InterpConv', 'KernelUpdateHead', 'KernelUpdator'])

# Tested in files of their own: they need another package or texts, or give depths.
ELSEWHERE = frozenset(['SideAdapterCLIPHead', 'TIMMBackbone', 'VPD', 'VPDDepthHead'])

# Parameters that cannot change the logits: neither a softmax over all places nor the normalisation of a batch sees what
# is added to all of it.
INERT = ('conv_mask.bias', 'key_conv.bias', '_CEBlock.gap.1.bias')

_BLOCKS = dict(base_channels=4, stem_channels=4)
_STDC = dict(stdc_type='STDCNet1', in_channels=3, channels=(4, 8, 16, 32, 64), bottleneck_type='add', norm_cfg=BN,
             act_cfg=dict(type='ReLU'))
_STAGE = dict(num_modules=1, block='BASIC')
_TWINS = dict(embed_dims=(4, 6, 8, 10), num_heads=(1, 1, 2, 2), mlp_ratios=(2, 2, 2, 2), sr_ratios=(8, 4, 2, 1))
_VIT = dict(img_size=32, patch_size=8, embed_dims=8, num_layers=4, num_heads=2, out_indices=(0, 1, 2, 3))
_BEIT = dict(img_size=(64, 96), embed_dims=8, num_layers=2, num_heads=2, out_indices=(0, 1))
BACKBONES = {
    'BEiT': _BEIT,
    'BiSeNetV1': dict(backbone_cfg=dict(_BLOCKS, type='ResNet', depth=18), spatial_channels=(4, 4, 4, 8),
                      context_channels=(8, 16, 32), out_channels=12),
    'BiSeNetV2': dict(detail_channels=(4, 4, 16), semantic_channels=(4, 8, 12, 16), bga_channels=16),
    'CGNet': dict(num_channels=(8, 16, 32), num_blocks=(2, 2)),
    'ConvNeXt': dict(arch=dict(depths=(1, 1, 1, 1), channels=(4, 6, 8, 10)), out_indices=(0, 1, 2, 3),
                     gap_before_final_norm=False),
    'DDRNet': dict(channels=4, ppm_channels=4),
    'ERFNet': dict(enc_downsample_channels=(4, 8, 16), enc_stage_non_bottlenecks=(1, 4),
                   enc_non_bottleneck_channels=(8, 16), dec_upsample_channels=(8, 4),
                   dec_stages_non_bottleneck=(1, 1), dec_non_bottleneck_channels=(8, 4)),
    'FastSCNN': dict(downsample_dw_channels=(4, 6), global_in_channels=8, global_block_channels=(8, 12, 16),
                     global_out_channels=12, higher_in_channels=8, lower_in_channels=12, fusion_out_channels=8),
    'HRNet': dict(extra=dict(
        stage1=dict(_STAGE, num_branches=1, block='BOTTLENECK', num_blocks=(1,), num_channels=(2,)),
        stage2=dict(_STAGE, num_branches=2, num_blocks=(1, 1), num_channels=(4, 6)),
        stage3=dict(_STAGE, num_branches=3, num_blocks=(1, 1, 1), num_channels=(4, 6, 8)),
        stage4=dict(_STAGE, num_branches=4, num_blocks=(1, 1, 1, 1), num_channels=(4, 6, 8, 10)))),
    'ICNet': dict(backbone_cfg=dict(_BLOCKS, type='ResNetV1c', depth=18), layer_channels=(8, 32),
                  light_branch_middle_channels=4, psp_out_channels=8, out_channels=(4, 6, 8)),
    'MAE': _BEIT,
    'MSCAN': dict(embed_dims=(4, 6, 8, 10), mlp_ratios=(2, 2, 2, 2), depths=(1, 1, 1, 1), norm_cfg=BN),
    'MixVisionTransformer': dict(embed_dims=4, num_layers=(1, 1, 1, 1), num_heads=(1, 1, 2, 2)),
    'MobileNetV2': dict(widen_factor=0.25),
    'MobileNetV3': dict(),
    'PCPVT': dict(_TWINS, depths=(2, 2, 2, 2)),
    'PIDNet': dict(channels=4, ppm_channels=4),
    'PoolFormer': dict(arch=dict(layers=(1, 1, 1, 1), embed_dims=(4, 6, 8, 10), layer_scale_init_value=1.0),
                       out_indices=(0, 2, 4, 6)),
    'ResNeSt': dict(_BLOCKS, depth=50),
    'ResNeXt': dict(_BLOCKS, depth=50, groups=2),
    'ResNet': dict(_BLOCKS, depth=18),
    'ResNetV1c': dict(_BLOCKS, depth=18),
    'ResNetV1d': dict(_BLOCKS, depth=18),
    'STDCContextPathNet': dict(backbone_cfg=dict(_STDC, type='STDCNet'), last_in_channels=(64, 32), out_channels=12,
                               ffm_cfg=dict(in_channels=28, out_channels=8)),
    'STDCNet': dict(_STDC, with_final_conv=True),
    'SVT': dict(_TWINS, depths=(2, 2, 2, 2), windiow_sizes=(2, 2, 2, 2)),
    'SwinTransformer': dict(embed_dims=4, window_size=2, depths=(2, 2, 2, 2), num_heads=(1, 1, 2, 2)),
    'UNet': dict(base_channels=4),
    'VisionTransformer': _VIT,
}

CHANNELS = (4, 8, 12, 16)  # of the features that a head is tested with; their strides are 4, 8, 16 and 32
_CE = dict(type='CrossEntropyLoss')
_HARDEST = dict(type='OhemCrossEntropy', min_kept=50)
_BASE = dict(channels=8, num_classes=5, norm_cfg=BN)
_ONE = dict(_BASE, in_channels=16, in_index=3)
_TWO = dict(_BASE, in_channels=[12, 16], in_index=[2, 3])
_OF_VIT = dict(_BASE, in_channels=(8, 8, 8, 8), in_index=(0, 1, 2, 3))
_ALL = dict(_BASE, in_channels=CHANNELS, in_index=[0, 1, 2, 3])
_MASK_ATTENTION = dict(embed_dims=8, num_heads=2)
_MASK_FFN = dict(embed_dims=8, feedforward_channels=16, act_cfg=dict(type='ReLU', inplace=True))
_MASKS = dict(
    in_channels=CHANNELS, feat_channels=8, out_channels=8, num_classes=5, num_queries=7,
    positional_encoding=dict(num_feats=4, normalize=True),
    transformer_decoder=dict(num_layers=3, layer_cfg=dict(
        self_attn_cfg=_MASK_ATTENTION, cross_attn_cfg=_MASK_ATTENTION, ffn_cfg=_MASK_FFN)),
    train_cfg=dict(num_points=100, assigner=dict(type='HungarianAssigner', match_costs=[
        dict(type='ClassificationCost'), dict(type='CrossEntropyLossCost', weight=5.0),
        dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0)])))
HEADS = {
    'ANNHead': dict(_TWO, project_channels=4, query_scales=(1, 2), key_pool_scales=(1, 2)),
    'APCHead': dict(_ONE, pool_scales=(1, 2, 3)),
    'ASPPHead': dict(_ONE, dilations=(1, 2)),
    'CCHead': _ONE,
    'DAHead': dict(_ONE, pam_channels=4),
    'DDRHead': dict(_ONE, in_index=-1, loss_decode=[_CE] * 2),
    'DMHead': dict(_ONE, filter_sizes=(1, 2, 3)),
    'DNLHead': _ONE,
    'DPTHead': dict(_OF_VIT, input_transform='multiple_select', embed_dims=8, post_process_channels=(4, 6, 8, 10),
                    readout_type='project', patch_size=8),
    'DepthwiseSeparableASPPHead': dict(_ONE, dilations=(1, 2), c1_in_channels=4, c1_channels=3),
    'DepthwiseSeparableFCNHead': _ONE,
    'EMAHead': dict(_ONE, ema_channels=8, num_bases=4, num_stages=2),
    'EncHead': dict(_TWO, num_codes=4, add_lateral=True),
    'FCNHead': _ONE,
    'FPNHead': dict(_ALL, feature_strides=[4, 8, 16, 32]),
    'GCHead': dict(_ONE, channels=16),
    'ISAHead': dict(_ONE, isa_channels=4, down_factor=(2, 2)),
    'IterativeDecodeHead': dict(
        num_stages=2, kernel_generate_head=dict(_ONE, type='FCNHead'), kernel_update_head=[dict(
            type='KernelUpdateHead', num_classes=5, num_heads=2, num_mask_fcs=1, feedforward_channels=8, in_channels=8,
            out_channels=8, feat_transform_cfg=dict(act_cfg=None),
            kernel_updator_cfg=dict(type='KernelUpdator', in_channels=8, feat_channels=8, out_channels=8))] * 2),
    'LRASPPHead': dict(_BASE, in_channels=[4, 8, 16], in_index=[0, 1, 3], input_transform='multiple_select',
                       branch_channels=(3, 6)),
    'LightHamHead': dict(_TWO, ham_channels=8, ham_kwargs=dict(MD_R=4)),
    'Mask2FormerHead': dict(_MASKS, pixel_decoder=dict(
        type='mmdet.MSDeformAttnPixelDecoder', norm_cfg=dict(type='GN', num_groups=2),
        positional_encoding=dict(num_feats=4, normalize=True), encoder=dict(num_layers=2, layer_cfg=dict(
            self_attn_cfg=dict(_MASK_ATTENTION, num_levels=3, num_points=2, dropout=0.), ffn_cfg=_MASK_FFN)))),
    'MaskFormerHead': dict(_MASKS, pixel_decoder=dict(
        type='mmdet.PixelDecoder', norm_cfg=dict(type='GN', num_groups=2))),
    'NLHead': _ONE,
    'OCRHead': dict(_ONE, ocr_channels=4),
    'PIDHead': dict(_ONE, in_index=-1, loss_decode=[_CE, _HARDEST, dict(type='BoundaryLoss'), _HARDEST]),
    'PSAHead': dict(_BASE, in_channels=4, in_index=0, mask_size=(5, 5)),
    'PSPHead': dict(_ONE, pool_scales=(1, 2)),
    'PointHead': dict(in_channels=[4], in_index=[0], channels=8, num_classes=5),
    'SETRMLAHead': dict(_OF_VIT, channels=16, mla_channels=4),
    'SETRUPHead': _ONE,
    'STDCHead': _ONE,
    'SegformerHead': _ALL,
    'SegmenterMaskTransformerHead': dict(_ONE, norm_cfg=dict(type='LN'), embed_dims=8, num_layers=1, num_heads=2),
    'UPerHead': dict(_ALL, pool_scales=(1, 2)),
}
# Heads that learn by masks of classes: losses of their own, in which no pixels are mined.
OF_MASKS = ('Mask2FormerHead', 'MaskFormerHead')
# What a head stands on, where it does not take any features of four strides.
STANDS_ON = {
    'DDRHead': dict(type='DDRNet', **BACKBONES['DDRNet']),
    'DPTHead': dict(type='VisionTransformer', output_cls_token=True, **_VIT),
    'PIDHead': dict(type='PIDNet', **BACKBONES['PIDNet']),
    'SETRMLAHead': dict(type='VisionTransformer', **_VIT),
}
# Backbones with features for a single head, which it takes with losses of its own for each.
ONLY_UNDER = {'DDRNet': 'DDRHead', 'PIDNet': 'PIDHead'}
PLAIN = dict(type='FCNHead', num_convs=1, **_ONE)  # an auxiliary head, and the first of two
TRAIN_CFG = dict(num_points=64, oversample_ratio=3, importance_sample_ratio=0.75)
TEST_CFG = dict(mode='whole', subdivision_steps=2, subdivision_num_points=64, scale_factor=2)


@MODELS.register_module(name='FourStrides', force=True)
class FourStrides(nn.Module):
    """Features of four strides, by one convolution each."""

    out_channels = CHANNELS

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, c, 3, stride=4 * 2**i, padding=1) for i, c in enumerate(CHANNELS))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(conv(x) for conv in self.convs)


def registered(package_name: str) -> tuple[set[str], set[str]]:
    """The names that a package registers in `MODELS`, and those that it publishes but whose module is missing."""
    package = import_module(package_name)
    missing = set()
    for name in package.__all__:
        try:
            getattr(package, name)
        except ModuleNotFoundError:
            missing.add(name)
    known = {name for name, cls in MODELS.module_dict.items() if cls.__module__.startswith(f'{package_name}.')}
    return known - PARTS - ELSEWHERE, missing - PARTS - ELSEWHERE
