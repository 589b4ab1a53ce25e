"""A backbone with several decode heads, each of which refines the logits of the one before."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, native_logits
from mmseg.registry import MODELS
from mmseg.utils import add_prefix
from mmseg.utils.typing_utils import ConfigType, OptConfigType, OptMultiConfig, OptSampleList, SampleList


@MODELS.register_module()
class CascadeEncoderDecoder(EncoderDecoder):
    """:class:`EncoderDecoder` whose `decode_head` is a list of `num_stages` heads."""

    def __init__(self,
                 num_stages: int,
                 backbone: ConfigType,
                 decode_head: Sequence[ConfigType],
                 neck: OptConfigType = None,
                 auxiliary_head: ConfigType | Sequence[ConfigType] | None = None,
                 train_cfg: OptConfigType = None,
                 test_cfg: OptConfigType = None,
                 data_preprocessor: OptConfigType = None,
                 pretrained: str | None = None,
                 init_cfg: OptMultiConfig = None):
        self.num_stages = num_stages
        super().__init__(backbone, decode_head, neck, auxiliary_head, train_cfg, test_cfg, data_preprocessor,
                         pretrained, init_cfg)

    def _init_decode_head(self, decode_head: Sequence[ConfigType]) -> None:
        if isinstance(decode_head, dict) or len(decode_head) != self.num_stages:
            found = 'one' if isinstance(decode_head, dict) else len(decode_head)
            raise ValueError(f'decode_head must list num_stages={self.num_stages} heads, found {found}')
        self.decode_head = nn.ModuleList(MODELS.build(head) for head in decode_head)
        self._adopt(self.decode_head[-1])

    def _refine(self, features: Sequence[torch.Tensor], stages: int) -> torch.Tensor:
        """Return the logits of the first `stages` heads, one after another."""
        logits = self.decode_head[0].forward(features)
        for head in self.decode_head[1:stages]:
            logits = head.forward(features, logits)
        return logits

    def _decode(self, features: Sequence[torch.Tensor], batch_img_metas: list[dict]) -> torch.Tensor:
        previous = self._refine(features, self.num_stages - 1)
        return native_logits(self.decode_head[-1], (features, previous), batch_img_metas, self.test_cfg)

    def _forward(self, inputs: torch.Tensor, data_samples: OptSampleList = None) -> torch.Tensor:
        metas = [dict(img_shape=inputs.shape[2:], pad_shape=inputs.shape[2:]) for _ in inputs]
        return self._decode(self.extract_feat(inputs), metas)

    def _decode_losses(self, features: Sequence[torch.Tensor], data_samples: SampleList) -> dict:
        losses, inputs = {}, (features,)
        for i, head in enumerate(self.decode_head):
            if type(head).loss in _PLAIN_LOSS:
                logits = head.forward(*inputs)
                stage = head.loss_by_feat(logits, data_samples)
            else:  # a head with a loss of its own keeps its logits to itself
                stage = head.loss(*inputs, data_samples, self.train_cfg)
                logits = head.forward(*inputs) if i + 1 < self.num_stages else None
            losses.update(add_prefix(stage, f'decode_{i}'))
            inputs = (features, logits)
        return losses


_PLAIN_LOSS = (BaseDecodeHead.loss, BaseCascadeDecodeHead.loss)
