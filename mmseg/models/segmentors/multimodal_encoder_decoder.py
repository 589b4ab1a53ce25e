"""Encoders of images and of texts below one decode head, as open-vocabulary networks have them."""
from __future__ import annotations

from collections.abc import Sequence

import torch

from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.segmentors.encoder_decoder import EncoderDecoder, native_logits
from mmseg.ops import resize
from mmseg.registry import MODELS
from mmseg.utils.checkpoint import load_weights, read_checkpoint, weights_of
from mmseg.utils.errors import CheckpointError
from mmseg.utils.typing_utils import ConfigType, OptConfigType, OptMultiConfig, OptSampleList, SampleList


@MODELS.register_module()
class MultimodalEncoderDecoder(EncoderDecoder):
    """The head gets the image, its features, and a vector for each class from a text encoder.

    Args:
        image_encoder: config of the backbone that belongs to the text encoder.
        text_encoder: config of what makes the vectors.
        pretrained: weights of both encoders and of the last layers of the image encoder, which the head has, by the
            names of this network; `tools/model_converters/clip2mmseg.py` writes them.
        asymetric_input: whether the image encoder sees the image at another size than the head does.
        encoder_resolution: that size, as a factor.
    """

    def __init__(self,
                 image_encoder: ConfigType,
                 text_encoder: ConfigType,
                 decode_head: ConfigType,
                 train_cfg: OptConfigType = None,
                 test_cfg: OptConfigType = None,
                 data_preprocessor: OptConfigType = None,
                 pretrained: str | None = None,
                 asymetric_input: bool = True,
                 encoder_resolution: float | None = None,
                 init_cfg: OptMultiConfig = None):
        BaseSegmentor.__init__(self, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if asymetric_input and encoder_resolution is None:
            raise ValueError('asymetric_input=True needs encoder_resolution, the factor by which the image is resized '
                             'for the image encoder, such as 0.5')
        self.pretrained = pretrained
        self.asymetric_input, self.encoder_resolution = asymetric_input, encoder_resolution
        self.image_encoder = MODELS.build(image_encoder)
        self.text_encoder = MODELS.build(text_encoder)
        self._init_decode_head(decode_head)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg

    def init_weights(self) -> None:
        """Start every part anew and load the weights named by `pretrained` into those that CLIP has."""
        super().init_weights()
        if self.pretrained is None:
            return
        state = weights_of(read_checkpoint(self.pretrained))
        parts = {'image_encoder.': self.image_encoder, 'text_encoder.': self.text_encoder}
        if hasattr(self.decode_head, 'rec_with_attnbias'):
            parts['decode_head.rec_with_attnbias.'] = self.decode_head.rec_with_attnbias
        for prefix, part in parts.items():
            weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            if not weights:
                raise CheckpointError(f'{self.pretrained} has no weights that begin with {prefix!r}: give the weights '
                                      'of CLIP as tools/model_converters/clip2mmseg.py writes them')
            load_weights(part, dict(state_dict=weights), fine_tune=True, name=f'{self.pretrained} ({prefix}*)')

    def extract_feat(self, inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        """Take images (N, 3, H, W), made smaller for the image encoder, to its features."""
        if self.asymetric_input:
            inputs = resize(inputs, scale_factor=self.encoder_resolution, mode='bilinear', align_corners=False)
        return self.image_encoder(inputs)

    def _inputs_of_head(self, inputs: torch.Tensor) -> tuple:
        return inputs, self.extract_feat(inputs), self.text_encoder()

    def _native_logits(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        return native_logits(self.decode_head, (self._inputs_of_head(inputs),), batch_img_metas, self.test_cfg)

    def _forward(self, inputs: torch.Tensor, data_samples: OptSampleList = None):
        return self.decode_head.forward(self._inputs_of_head(inputs))

    def loss(self, inputs: torch.Tensor, data_samples: SampleList) -> dict:
        """Return the losses of the decode head, `decode.…`."""
        return self._decode_losses(self._inputs_of_head(inputs), data_samples)
