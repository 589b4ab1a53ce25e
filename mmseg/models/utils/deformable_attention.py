"""The attention layer of Deformable DETR, https://arxiv.org/abs/2010.04159."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn

from mmseg.ops import multi_scale_deformable_attention
from mmseg.registry import MODELS


@MODELS.register_module()
class MultiScaleDeformableAttention(BaseModule):
    """Attend to a few places of each of several maps, which every query chooses around its own place.

    Args:
        embed_dims: channels of queries and maps; must be a multiple of `num_heads`.
        num_levels: the number of maps.
        num_points: of each map, for each head.
        im2col_step: chunk size of a compiled kernel, which there is none of here.
        dropout: of the output.
        batch_first: whether sequences are (B, N, C) or (N, B, C).
        norm_cfg: not used.
        value_proj_ratio: channels that are gathered for each outer one.
    """

    def __init__(self, embed_dims: int = 256, num_heads: int = 8, num_levels: int = 4, num_points: int = 4,
                 im2col_step: int = 64, dropout: float = 0.1, batch_first: bool = False, norm_cfg: dict | None = None,
                 init_cfg: dict | None = None, value_proj_ratio: float = 1.0):
        super().__init__(init_cfg)
        inner = int(embed_dims * value_proj_ratio)
        for name, width in (('embed_dims', embed_dims), ('embed_dims * value_proj_ratio', inner)):
            if width % num_heads:
                raise ValueError(f'{name}={width} cannot be shared by num_heads={num_heads}: {width % num_heads} '
                                 'channels are left over')
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.num_levels = num_levels
        self.num_points = num_points
        self.batch_first = batch_first
        self.sampling_offsets = nn.Linear(embed_dims, num_heads * num_levels * num_points * 2)
        self.attention_weights = nn.Linear(embed_dims, num_heads * num_levels * num_points)
        self.value_proj = nn.Linear(embed_dims, inner)
        self.output_proj = nn.Linear(inner, embed_dims)
        self.dropout = nn.Dropout(dropout)

    def init_weights(self) -> None:
        """Let every head look into a direction of its own, point i at a distance of i pixels, with equal weights."""
        angle = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        distance = torch.arange(1., self.num_points + 1)
        places = torch.einsum('hx,p->hpx', direction, distance)  # heads P 2
        places = places[:, None].expand(-1, self.num_levels, -1, -1)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(places.flatten())
        for weight in (self.sampling_offsets.weight, self.attention_weights.weight, self.attention_weights.bias,
                       self.value_proj.bias, self.output_proj.bias):
            nn.init.zeros_(weight)
        nn.init.xavier_uniform_(self.value_proj.weight)
        nn.init.xavier_uniform_(self.output_proj.weight)

    def forward(self, query: torch.Tensor, key: torch.Tensor | None = None, value: torch.Tensor | None = None,
                identity: torch.Tensor | None = None, query_pos: torch.Tensor | None = None,
                key_padding_mask: torch.Tensor | None = None, reference_points: torch.Tensor | None = None,
                spatial_shapes: Sequence[tuple[int, int]] | torch.Tensor | None = None,
                level_start_index: torch.Tensor | None = None) -> torch.Tensor:
        """Return `identity + attention`.

        Args:
            query: (B, N, C).
            key: not used: what is attended to depends on the queries alone.
            value: the maps row by row and one after another, (B, S, C); the queries where None.
            identity: the shortcut; the queries where None.
            query_pos: added to the queries.
            key_padding_mask: (B, S), true where a map is padded.
            reference_points: each query's own place in each map, (B or 1, N, num_levels or 1, 2), x and y in 0…1.
            spatial_shapes: height and width of each map.
            level_start_index: not used: it follows from the shapes.
        """
        value = query if value is None else value
        identity = query if identity is None else identity
        query = query if query_pos is None else query + query_pos
        if not self.batch_first:
            query, value = query.transpose(0, 1), value.transpose(0, 1)
        shapes = [tuple(int(side) for side in shape) for shape in spatial_shapes]
        if reference_points.shape[-1] != 2:
            raise ValueError(f'reference_points must be x and y, (B, N, {self.num_levels}, 2): found '
                             f'{tuple(reference_points.shape)}')

        value = self.value_proj(value)
        if key_padding_mask is not None:
            value = value.masked_fill(key_padding_mask.unsqueeze(-1), 0)
        places = (self.num_heads, self.num_levels, self.num_points)
        # Places are float32 also under autocast: halves would be off by pixels.
        offsets = self.sampling_offsets(query).unflatten(-1, (*places, 2))  # B N heads L P 2
        offsets = offsets.to(torch.promote_types(offsets.dtype, torch.float32))
        pixel = offsets.new_tensor([(1 / width, 1 / height) for height, width in shapes])  # L 2
        locations = reference_points[:, :, None, :, None] + offsets * pixel[:, None]
        weights = self.attention_weights(query).unflatten(-1, (self.num_heads, -1)).softmax(-1)
        out = multi_scale_deformable_attention(value.unflatten(-1, (self.num_heads, -1)), shapes, locations,
                                               weights.unflatten(-1, places[1:]))
        out = self.output_proj(out)
        return identity + self.dropout(out if self.batch_first else out.transpose(0, 1))
