"""The encoding layer of Deep TEN, https://arxiv.org/abs/1612.02844."""
from __future__ import annotations

import torch
from torch import nn


class Encoding(nn.Module):
    """Residuals of all places to learned codewords, weighed by how near each codeword is.

    Args:
        channels: of the input and of the codewords.
        num_codes: number of codewords.
    """

    def __init__(self, channels: int, num_codes: int):
        super().__init__()
        self.channels, self.num_codes = channels, num_codes
        bound = (num_codes * channels)**-0.5
        self.codewords = nn.Parameter(torch.empty(num_codes, channels).uniform_(-bound, bound))
        self.scale = nn.Parameter(torch.empty(num_codes).uniform_(-1, 0))

    @staticmethod
    def scaled_l2(x: torch.Tensor, codewords: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Scaled squared distances of (B, N, C) to codewords (K, C): (B, N, K).

        By the binomial theorem, so that no (B, N, K, C) differences are held.
        """
        squares = x.square().sum(-1, keepdim=True) + codewords.square().sum(-1)
        return scale * (squares - 2 * x @ codewords.t())

    @staticmethod
    def aggregate(assignment_weights: torch.Tensor, x: torch.Tensor, codewords: torch.Tensor) -> torch.Tensor:
        """Sum of the residuals of (B, N, C) to each codeword, with weights (B, N, K): (B, K, C)."""
        total = assignment_weights.sum(1).unsqueeze(-1)  # B K 1
        return assignment_weights.transpose(1, 2) @ x - total * codewords

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, K, C)."""
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ValueError(f'expected (B, {self.channels}, H, W), found {tuple(x.shape)}')
        places = x.flatten(2).transpose(1, 2)  # B C H W -> B (H W) C
        weights = self.scaled_l2(places, self.codewords, self.scale).softmax(-1)
        return self.aggregate(weights, places, self.codewords)

    def extra_repr(self) -> str:
        return f'channels={self.channels}, num_codes={self.num_codes}'
