"""Context Encoding for Semantic Segmentation, https://arxiv.org/abs/1803.08904."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import Encoding
from mmseg.ops import resize
from mmseg.registry import MODELS
from mmseg.utils.typing_utils import ConfigType, SampleList

SEMANTIC_ENCODING_LOSS = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=0.2)


class EncModule(nn.Module):
    """The encoding of a whole feature map decides how much each of its channels counts.

    Args:
        in_channels: of input and output.
        num_codes: codewords of the encoding.
    """

    def __init__(self, in_channels: int, num_codes: int, conv_cfg: dict | None, norm_cfg: dict | None,
                 act_cfg: dict | None):
        super().__init__()
        self.encoding_project = ConvModule(in_channels, in_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg,
                                           act_cfg=act_cfg)
        norm = dict(norm_cfg or dict(type='BN'))
        norm['type'] = 'BN1d' if norm['type'] in ('BN', 'BN2d') else norm['type']
        self.encoding = nn.Sequential(Encoding(in_channels, num_codes), build_norm_layer(norm, num_codes)[1],
                                      nn.ReLU(inplace=True))
        self.fc = nn.Sequential(nn.Linear(in_channels, in_channels), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C, H, W) -> the encoding (B, C) and the weighed feature (B, C, H, W)."""
        code = self.encoding(self.encoding_project(x)).mean(1)  # B K C -> B C
        weight = self.fc(code)[..., None, None]
        return code, F.relu(x + x * weight)


@MODELS.register_module()
class EncHead(BaseDecodeHead):
    """A context-encoded feature; the encoding also learns to tell which classes an image holds.

    Args:
        num_codes: codewords of the encoding.
        use_se_loss: learn the classes of an image from its encoding.
        add_lateral: join the earlier features of `in_index` to the last one.
        loss_se_decode: config of the loss of the classes of an image.
    """

    def __init__(self, num_codes: int = 32, use_se_loss: bool = True, add_lateral: bool = False,
                 loss_se_decode: ConfigType = SEMANTIC_ENCODING_LOSS, **kwargs):
        super().__init__(input_transform='multiple_select', **kwargs)
        self.use_se_loss = use_se_loss
        self.add_lateral = add_lateral
        self.num_codes = num_codes
        self.bottleneck = ConvModule(self.in_channels[-1], self.channels, 3, padding=1, **self.conv_options)
        if add_lateral:
            self.lateral_convs = nn.ModuleList(
                ConvModule(channels, self.channels, 1, **self.conv_options) for channels in self.in_channels[:-1])
            self.fusion = ConvModule(len(self.in_channels) * self.channels, self.channels, 3, padding=1,
                                     **self.conv_options)
        self.enc_module = EncModule(self.channels, num_codes, **self.conv_options)
        if use_se_loss:
            self.loss_se_decode = MODELS.build(loss_se_decode)
            self.se_layer = nn.Linear(self.channels, self.num_classes)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Features of the backbone -> logits (B, C, h, w) and, with `use_se_loss`, those of the image, (B, C)."""
        *earlier, last = self._transform_inputs(inputs)
        feature = self.bottleneck(last)
        if self.add_lateral:
            laterals = [resize(conv(x), feature.shape[2:], mode='bilinear', align_corners=self.align_corners)
                        for conv, x in zip(self.lateral_convs, earlier)]
            feature = self.fusion(torch.cat([feature, *laterals], dim=1))
        code, feature = self.enc_module(feature)
        logits = self.cls_seg(feature)
        return (logits, self.se_layer(code)) if self.use_se_loss else logits

    def predict(self, inputs: Sequence[torch.Tensor], batch_img_metas: list[dict],
                test_cfg: ConfigType) -> torch.Tensor:
        """Return logits at the size of the network's input, (N, C, H, W)."""
        logits = self.forward(inputs)
        return self.predict_by_feat(logits[0] if self.use_se_loss else logits, batch_img_metas)

    def loss_by_feat(self, seg_logit: torch.Tensor | tuple[torch.Tensor, torch.Tensor],
                     batch_data_samples: SampleList, **kwargs) -> dict:
        """The losses of the pixels and, with `use_se_loss`, `loss_se` of the images."""
        if not self.use_se_loss:
            return super().loss_by_feat(seg_logit, batch_data_samples, **kwargs)
        logits, image_logits = seg_logit
        losses = super().loss_by_feat(logits, batch_data_samples, **kwargs)
        present = self._classes_present(self._stack_batch_gt(batch_data_samples), image_logits)
        losses['loss_se'] = self.loss_se_decode(image_logits, present)
        return losses

    def _classes_present(self, labels: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Tell which classes labels (B, 1, H, W) hold: (B, C), 0 or 1."""
        labels = labels.flatten(1)
        valid = (labels >= 0) & (labels < self.num_classes)
        present = torch.zeros(len(labels), self.num_classes + 1, dtype=like.dtype, device=like.device)
        return present.scatter_(1, torch.where(valid, labels, self.num_classes), 1)[:, :-1]
