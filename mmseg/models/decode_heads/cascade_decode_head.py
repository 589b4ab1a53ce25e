"""The frame of heads that refine the logits of a head before them."""
from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence

import torch

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils.typing_utils import ConfigType, SampleList


class BaseCascadeDecodeHead(BaseDecodeHead, metaclass=ABCMeta):
    """A head whose `forward` also takes the logits of the previous one."""

    @abstractmethod
    def forward(self, inputs: Sequence[torch.Tensor], prev_output: torch.Tensor) -> torch.Tensor:
        """Take features and the logits (N, C, h, w) of the previous head to better logits."""

    def loss(self, inputs: Sequence[torch.Tensor], prev_output: torch.Tensor, batch_data_samples: SampleList,
             train_cfg: ConfigType) -> dict:
        """Return the losses and the accuracy of a training step by name."""
        return self.loss_by_feat(self.forward(inputs, prev_output), batch_data_samples)

    def predict(self, inputs: Sequence[torch.Tensor], prev_output: torch.Tensor, batch_img_metas: list[dict],
                tese_cfg: ConfigType) -> torch.Tensor:
        """Return logits at the size of the network's input, (N, C, H, W)."""
        return self.predict_by_feat(self.forward(inputs, prev_output), batch_img_metas)
