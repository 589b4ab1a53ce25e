"""Blocks that several networks share."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'basic_block': ['BasicBlock', 'Bottleneck'],
    'deformable_attention': ['MultiScaleDeformableAttention'],
    'detr_layers': ['DeformableDetrTransformerEncoder', 'DetrTransformerDecoder', 'DetrTransformerEncoder',
        'Mask2FormerTransformerDecoder'],
    'embed': ['PatchEmbed'],
    'encoding': ['Encoding'],
    'inverted_residual': ['InvertedResidual', 'InvertedResidualV3'],
    'make_divisible': ['make_divisible'],
    'pixel_decoder': ['MSDeformAttnPixelDecoder', 'PixelDecoder', 'TransformerEncoderPixelDecoder'],
    'point_sample': ['get_uncertain_point_coords_with_randomness'],
    'ppm': ['DAPPM', 'PAPPM'],
    'res_layer': ['ResLayer'],
    'san_layers': ['LayerNorm2d', 'MLP', 'cross_attn_layer'],
    'se_layer': ['SELayer'],
    'self_attention_block': ['SelfAttentionBlock'],
    'shape_convert': ['nchw2nlc2nchw', 'nchw_to_nlc', 'nlc2nchw2nlc', 'nlc_to_nchw'],
    'sine_positional_encoding': ['SinePositionalEncoding'],
    'up_conv_block': ['UpConvBlock'],
    'wrappers': ['Upsample', 'resize'],
})
