"""What the heads with one context block between two convolutions share."""
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch

from mmseg.models.decode_heads.fcn_head import FCNHead


class ContextHead(FCNHead):
    """An :class:`FCNHead` of two convolutions; a subclass puts a block between them."""

    def __init__(self, **kwargs):
        super().__init__(num_convs=2, **kwargs)

    @abstractmethod
    def context(self, x: torch.Tensor) -> torch.Tensor:
        """Give every place (B, channels, h, w) a view of its surroundings, of the same shape."""

    def _forward_feature(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        x = self._transform_inputs(inputs)
        feature = self.convs[1](self.context(self.convs[0](x)))
        return self.conv_cat(torch.cat([x, feature], dim=1)) if self.concat_input else feature
