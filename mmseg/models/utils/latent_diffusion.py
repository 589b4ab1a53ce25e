"""Stable Diffusion v1, as far as it serves as a backbone: the encoder of images and the denoising network.

High-Resolution Image Synthesis with Latent Diffusion Models, https://arxiv.org/abs/2112.10752. The names of the
parameters are those of the published checkpoints. What only generating images needs is not here: the decoder of images,
the text encoder and the last layer of the denoising network.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from mmseg.models.utils.attention import multi_head
from mmseg.models.utils.backbone_options import checkpointed
from mmseg.models.utils.shape_convert import nchw_to_nlc, nlc_to_nchw

GROUPS = 32
_EPS = 1e-6


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)


# ------------------------------------------------------------------------------------------------ from image to latent

class EncoderBlock(nn.Module):
    """Two convolutions, each after a norm and SiLU, beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float):
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, in_channels, _EPS)
        self.conv1 = _conv(in_channels, out_channels)
        self.norm2 = nn.GroupNorm(GROUPS, out_channels, _EPS)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = _conv(out_channels, out_channels)
        if in_channels != out_channels:
            self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        out = self.conv1(F.silu(self.norm1(x)))
        out = self.conv2(self.dropout(F.silu(self.norm2(out))))
        return out + (self.nin_shortcut(x) if hasattr(self, 'nin_shortcut') else x)


class EncoderAttention(nn.Module):
    """Attention of all places of a map with a single head, beside a shortcut."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, _EPS)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> the same shape."""
        normed = self.norm(x)
        query, key, value = (nchw_to_nlc(layer(normed)) for layer in (self.q, self.k, self.v))
        return x + self.proj_out(nlc_to_nchw(multi_head(query, key, value, 1), x.shape[2:]))


class Halve(nn.Module):
    """A convolution of stride 2 that pads right and bottom only."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2)."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class _Level(nn.Module):
    """The blocks of one resolution, with attention after each where that is wanted."""

    def __init__(self, widths: Sequence[int], with_attention: bool, dropout: float, halve: bool):
        super().__init__()
        self.block = nn.ModuleList(EncoderBlock(*pair, dropout) for pair in zip(widths, widths[1:]))
        self.attn = nn.ModuleList(EncoderAttention(width) for width in widths[1:] if with_attention)
        if halve:
            self.downsample = Halve(widths[-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for i, block in enumerate(self.block):
            x = block(x)
            x = self.attn[i](x) if len(self.attn) else x
        return self.downsample(x) if hasattr(self, 'downsample') else x


class _Middle(nn.Module):
    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.block_1 = EncoderBlock(width, width, dropout)
        self.attn_1 = EncoderAttention(width)
        self.block_2 = EncoderBlock(width, width, dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class LatentEncoder(nn.Module):
    """Images to maps of `2 * z_channels` by levels of residual blocks; each level but the last halves the map.

    Args:
        ch: channels of the first level; `ch_mult` multiplies them in each.
        num_res_blocks: blocks of a level.
        attn_resolutions: sides of maps, of images of the side `resolution`, whose blocks are followed by attention.
        double_z: give means and logarithms of variances, as :class:`AutoencoderKL` needs.
        out_ch: of the decoder, which is not here.
    """

    def __init__(self, *, ch: int, z_channels: int, resolution: int, in_channels: int = 3, out_ch: int = 3,
                 ch_mult: Sequence[int] = (1, 2, 4, 4), num_res_blocks: int = 2,
                 attn_resolutions: Sequence[int] = (), dropout: float = 0., double_z: bool = True):
        super().__init__()
        self.conv_in = _conv(in_channels, ch)
        widths = [ch * mult for mult in ch_mult]
        last = len(widths) - 1
        self.down = nn.ModuleList(
            _Level([widths[max(i - 1, 0)] if i else ch, *[width] * num_res_blocks],
                   resolution // 2**i in attn_resolutions, dropout, halve=i < last) for i, width in enumerate(widths))
        self.mid = _Middle(widths[-1], dropout)
        self.norm_out = nn.GroupNorm(GROUPS, widths[-1], _EPS)
        self.conv_out = _conv(widths[-1], 2 * z_channels if double_z else z_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) -> (B, 2 * z_channels, h, w)."""
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class AutoencoderKL(nn.Module):
    """The half of the variational autoencoder that encodes.

    Args:
        embed_dim: channels of the latent.
        ddconfig: arguments of :class:`LatentEncoder`.
    """

    def __init__(self, embed_dim: int, ddconfig: dict):
        super().__init__()
        self.encoder = LatentEncoder(**ddconfig)
        self.quant_conv = nn.Conv2d(2 * ddconfig['z_channels'], 2 * embed_dim, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) of values from -1 to 1 -> the mean of their latents, (B, embed_dim, h, w)."""
        return self.quant_conv(self.encoder(x)).chunk(2, dim=1)[0]


# ------------------------------------------------------------------------------------------------- denoising network

def embed_steps(steps: torch.Tensor, channels: int) -> torch.Tensor:
    """Cosines and sines of the numbers of steps (B,), of wavelengths from 2 pi to 20000 pi: (B, channels)."""
    half = channels // 2
    powers = torch.arange(half, dtype=torch.float32, device=steps.device) / half
    angles = steps[:, None].float() * torch.exp(-math.log(10000) * powers)
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=1), (0, channels % 2))


class ResBlock(nn.Module):
    """Two convolutions, to whose middle the embedded step is added, beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, embedding: int, dropout: float):
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(GROUPS, in_channels), nn.SiLU(), _conv(in_channels, out_channels))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding, out_channels))
        self.out_layers = nn.Sequential(nn.GroupNorm(GROUPS, out_channels), nn.SiLU(), nn.Dropout(dropout),
                                        _conv(out_channels, out_channels))
        same = in_channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) and (B, embedding) -> (B, out_channels, H, W)."""
        out = self.in_layers(x) + self.emb_layers(step)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(out)


class CrossAttention(nn.Module):
    """Attention to a context, or of tokens among themselves."""

    def __init__(self, channels: int, context_dim: int, num_heads: int, dropout: float):
        super().__init__()
        self.heads = num_heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_dim, channels, bias=False)
        self.to_v = nn.Linear(context_dim, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels), nn.Dropout(dropout))

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """(B, N, channels) and (B, M, context_dim) -> (B, N, channels)."""
        context = x if context is None else context
        return self.to_out(multi_head(self.to_q(x), self.to_k(context), self.to_v(context), self.heads))

    def shares(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """How much each token attends to each of the context, the mean of the heads: (B, N, M)."""
        query, key = (layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer, tokens in (
            (self.to_q, x), (self.to_k, x if context is None else context)))  # B heads N c
        return (query @ key.transpose(-2, -1) * query.shape[-1]**-0.5).softmax(-1).mean(1)


class _GatedLinear(nn.Module):
    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.proj = nn.Linear(in_channels, 2 * out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * F.gelu(gate)


class _FeedForward(nn.Module):
    def __init__(self, channels: int, dropout: float):
        super().__init__()
        self.net = nn.Sequential(_GatedLinear(channels, 4 * channels), nn.Dropout(dropout),
                                 nn.Linear(4 * channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class _TransformerBlock(nn.Module):
    def __init__(self, channels: int, context_dim: int, num_heads: int, dropout: float):
        super().__init__()
        self.attn1 = CrossAttention(channels, channels, num_heads, dropout)
        self.ff = _FeedForward(channels, dropout)
        self.attn2 = CrossAttention(channels, context_dim, num_heads, dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Layers of attention among the places of a map and to a context, beside a shortcut."""

    def __init__(self, channels: int, context_dim: int, num_heads: int, depth: int, dropout: float):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, _EPS)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList(
            _TransformerBlock(channels, context_dim, num_heads, dropout) for _ in range(depth))
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) and (B, M, context_dim) -> (B, C, H, W)."""
        tokens = nchw_to_nlc(self.proj_in(self.norm(x)))
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        return x + self.proj_out(nlc_to_nchw(tokens, x.shape[2:]))


class _Reduce(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.op = _conv(channels, channels, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.op(x)


class _Enlarge(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = _conv(channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(F.interpolate(x, scale_factor=2, mode='nearest'))


class _Chain(nn.Sequential):
    """Layers one after another, each with what it takes besides the map."""

    with_cp = False

    def forward(self, x: torch.Tensor, step: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        for layer in self:
            arguments = {ResBlock: (x, step), SpatialTransformer: (x, context)}.get(type(layer), (x,))
            again = self.with_cp and x.requires_grad and len(arguments) > 1
            x = checkpointed(layer, layer, *arguments) if again else layer(*arguments)
        return x


class UNetModel(nn.Module):
    """The denoising network, which returns its features of all resolutions, the coarsest first.

    Args:
        model_channels: of the first level; `channel_mult` multiplies them in each.
        num_res_blocks: blocks of a level on the way down; on the way up there is one more.
        attention_resolutions: strides, in the latent, at which blocks are followed by attention.
        num_heads, transformer_depth, context_dim: of that attention.
        use_checkpoint: compute the activations of blocks again in the backward pass rather than keep them.
        kwargs: what published configs say besides, and what only makes a difference where it differs from Stable
            Diffusion v1: then it is an error.
    """

    V1 = dict(use_spatial_transformer=True, legacy=False, dims=2, conv_resample=True, num_classes=None, use_fp16=False,
              use_scale_shift_norm=False, resblock_updown=False, num_head_channels=-1, use_linear_in_transformer=False)

    def __init__(self, in_channels: int, model_channels: int, num_res_blocks: int = 2,
                 attention_resolutions: Sequence[int] = (4, 2, 1), channel_mult: Sequence[int] = (1, 2, 4, 4),
                 num_heads: int = 8, transformer_depth: int = 1, context_dim: int = 768, dropout: float = 0.,
                 use_checkpoint: bool = False, image_size: int = 32, out_channels: int = 4, **kwargs):
        super().__init__()
        others = {name: value for name, value in kwargs.items() if name not in self.V1 or value != self.V1[name]}
        if others:
            raise ValueError(f'the denoising network is that of Stable Diffusion v1, which knows no {others}')
        self.model_channels = model_channels
        embedding = 4 * model_channels
        self.time_embed = nn.Sequential(nn.Linear(model_channels, embedding), nn.SiLU(),
                                        nn.Linear(embedding, embedding))

        def layers(level: int, source: int) -> list[nn.Module]:
            width = widths[level]
            attention = [SpatialTransformer(width, context_dim, num_heads, transformer_depth, dropout)]
            return [ResBlock(source, width, embedding, dropout),
                    *(attention if 2**level in attention_resolutions else [])]

        widths = [mult * model_channels for mult in channel_mult]
        last, width = len(widths) - 1, model_channels
        self.input_blocks = nn.ModuleList([_Chain(_conv(in_channels, width))])
        skipped = [width]
        for level in range(len(widths)):
            for _ in range(num_res_blocks):
                self.input_blocks.append(_Chain(*layers(level, width)))
                width = widths[level]
                skipped.append(width)
            if level < last:
                self.input_blocks.append(_Chain(_Reduce(width)))
                skipped.append(width)
        self.middle_block = _Chain(
            ResBlock(width, width, embedding, dropout),
            SpatialTransformer(width, context_dim, num_heads, transformer_depth, dropout),
            ResBlock(width, width, embedding, dropout))
        self.output_blocks = nn.ModuleList()
        for level in reversed(range(len(widths))):
            for i in range(num_res_blocks + 1):
                enlarge = [_Enlarge(widths[level])] if level and i == num_res_blocks else []
                self.output_blocks.append(_Chain(*layers(level, width + skipped.pop()), *enlarge))
                width = widths[level]
        self.out_channels = tuple(reversed(widths))
        # A level's feature is that of the last block before the map is enlarged.
        self.taps = [(level + 1) * (num_res_blocks + 1) - (2 if level < last else 1) for level in range(len(widths))]
        for module in self.modules():
            if isinstance(module, _Chain):
                module.with_cp = use_checkpoint

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor) -> list[torch.Tensor]:
        """Latents (B, in_channels, H, W), steps (B,) and a context (B, M, context_dim) -> a feature of each level."""
        sides = 2**(len(self.out_channels) - 1)
        if x.shape[2] % sides or x.shape[3] % sides:
            raise ValueError(f'the denoising network halves its input {len(self.out_channels) - 1} times: the sides of '
                             f'a latent must be multiples of {sides}, found {tuple(x.shape[2:])}')
        step = self.time_embed(embed_steps(timesteps, self.model_channels).to(x.dtype))
        skipped, features = [], []
        for block in self.input_blocks:
            x = block(x, step, context)
            skipped.append(x)
        x = self.middle_block(x, step, context)
        for i, block in enumerate(self.output_blocks):
            joined = torch.cat([x, skipped.pop()], dim=1)
            x = block(joined, step, context)
            if i in self.taps:
                features.append(x)
        return features


class DiffusionWrapper(nn.Module):
    """The place of the denoising network in a checkpoint."""

    def __init__(self, diffusion_model: UNetModel):
        super().__init__()
        self.diffusion_model = diffusion_model

    def forward(self, x: torch.Tensor, t: torch.Tensor, c_crossattn: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """See :class:`UNetModel`; the contexts are put one behind the other."""
        return self.diffusion_model(x, t, torch.cat(list(c_crossattn), dim=1))
