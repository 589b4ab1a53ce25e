"""Dual Attention Network for Scene Segmentation, https://arxiv.org/abs/1809.02983."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, Scale
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import SelfAttentionBlock
from mmseg.registry import MODELS
from mmseg.utils import add_prefix
from mmseg.utils.typing_utils import ConfigType, SampleList


class PAM(SelfAttentionBlock):
    """Position attention: every place gathers from all places, in a learned measure beside itself.

    Args:
        in_channels: of input and output.
        channels: of queries and keys.
    """

    def __init__(self, in_channels: int, channels: int):
        super().__init__(
            key_in_channels=in_channels, query_in_channels=in_channels, channels=channels, out_channels=in_channels,
            share_key_query=False, query_downsample=None, key_downsample=None, key_query_num_convs=1,
            key_query_norm=False, value_out_num_convs=1, value_out_norm=False, matmul_norm=False, with_out=False,
            conv_cfg=None, norm_cfg=None, act_cfg=None)
        self.gamma = Scale(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.gamma(super().forward(x, x)) + x


class CAM(nn.Module):
    """Channel attention: every channel gathers from all channels, most from those unlike itself."""

    def __init__(self):
        super().__init__()
        self.gamma = Scale(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        flat = x.flatten(2)  # B C (H W)
        energy = flat @ flat.transpose(1, 2)  # B C C
        weight = (energy.amax(-1, keepdim=True) - energy).softmax(-1)
        return self.gamma((weight @ flat).view_as(x)) + x


@MODELS.register_module()
class DAHead(BaseDecodeHead):
    """Position and channel attention side by side, each with logits of its own and their sum with the final ones.

    Args:
        pam_channels: of the queries and keys of the position attention.
    """

    def __init__(self, pam_channels: int, **kwargs):
        super().__init__(**kwargs)
        self.pam_channels = pam_channels
        shape = dict(kernel_size=3, padding=1, **self.conv_options)
        self.pam_in_conv = ConvModule(self.in_channels, self.channels, **shape)
        self.pam = PAM(self.channels, pam_channels)
        self.pam_out_conv = ConvModule(self.channels, self.channels, **shape)
        self.pam_conv_seg = nn.Conv2d(self.channels, self.num_classes, kernel_size=1)
        self.cam_in_conv = ConvModule(self.in_channels, self.channels, **shape)
        self.cam = CAM()
        self.cam_out_conv = ConvModule(self.channels, self.channels, **shape)
        self.cam_conv_seg = nn.Conv2d(self.channels, self.num_classes, kernel_size=1)

    def _classify(self, conv: nn.Module, feat: torch.Tensor) -> torch.Tensor:
        return conv(feat if self.dropout is None else self.dropout(feat))

    def pam_cls_seg(self, feat: torch.Tensor) -> torch.Tensor:
        """Logits of the position attention alone."""
        return self._classify(self.pam_conv_seg, feat)

    def cam_cls_seg(self, feat: torch.Tensor) -> torch.Tensor:
        """Logits of the channel attention alone."""
        return self._classify(self.cam_conv_seg, feat)

    def forward(self, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features of the backbone -> three logits (B, C, h, w): of both attentions, of position, of channels."""
        x = self._transform_inputs(inputs)
        position = self.pam_out_conv(self.pam(self.pam_in_conv(x)))
        channel = self.cam_out_conv(self.cam(self.cam_in_conv(x)))
        return self.cls_seg(position + channel), self.pam_cls_seg(position), self.cam_cls_seg(channel)

    def predict(self, inputs: Sequence[torch.Tensor], batch_img_metas: list[dict], test_cfg: ConfigType,
                **kwargs) -> torch.Tensor:
        """Return the logits of both attentions at the size of the network's input."""
        return self.predict_by_feat(self.forward(inputs)[0], batch_img_metas, **kwargs)

    def loss_by_feat(self, seg_logit: tuple[torch.Tensor, ...], batch_data_samples: SampleList, **kwargs) -> dict:
        """Losses of all three logits, `pam_cam.…`, `pam.…` and `cam.…`."""
        losses = {}
        for name, logits in zip(('pam_cam', 'pam', 'cam'), seg_logit):
            losses.update(add_prefix(super().loss_by_feat(logits, batch_data_samples, **kwargs), name))
        return losses
