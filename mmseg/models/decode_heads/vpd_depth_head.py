"""The depth head of VPD: Unleashing Text-to-Image Diffusion Models for Visual Perception (arXiv:2303.02153)."""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.ops import resize
from mmseg.registry import MODELS
from mmseg.utils.typing_utils import ConfigType, SampleList

_OF_STABLE_DIFFUSION = (320, 640, 1280, 1280)
_SILOG = dict(type='SiLogLoss')
_SMALL_NORMAL = dict(type='Normal', std=0.001, layer=['Conv2d', 'ConvTranspose2d'])
_TRUNCATED_NORMAL = dict(type='TruncNormal', std=0.02, layer=['Conv2d', 'Linear'])


class VPDDepthDecoder(BaseModule):
    """Transposed convolutions that double the map each, a convolution, and a fourfold enlargement.

    Args:
        num_deconv_layers: number of transposed convolutions.
        num_deconv_filters: channels of each of them.
    """

    def __init__(self, in_channels: int, out_channels: int, num_deconv_layers: int,
                 num_deconv_filters: Sequence[int], init_cfg: ConfigType | None = _SMALL_NORMAL):
        super().__init__(init_cfg)
        if len(num_deconv_filters) != num_deconv_layers:
            raise ValueError(f'num_deconv_filters needs a number for each of num_deconv_layers={num_deconv_layers}, '
                             f'found {tuple(num_deconv_filters)}')
        widths = [in_channels, *num_deconv_filters]
        layers = []
        for source, width in zip(widths, widths[1:]):
            layers += [nn.ConvTranspose2d(source, width, 2, stride=2, bias=False), nn.BatchNorm2d(width),
                       nn.ReLU(inplace=True)]
        self.deconv_layers = nn.Sequential(*layers)
        self.conv_layers = nn.Sequential(nn.Conv2d(widths[-1], out_channels, 3, padding=1),
                                         nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, h, w) -> (B, out_channels, H, W), by 4 and by 2 for each transposed convolution larger."""
        x = self.conv_layers(self.deconv_layers(x))
        for _ in range(2):
            x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
        return x


@MODELS.register_module()
class VPDDepthHead(BaseDecodeHead):
    """Depths from four features, each of half the size of the one before it.

    Args:
        max_depth: depths lie between 0 and this, in metres.
        in_channels: of the features, the finest first.
        embed_dim: channels before the depth.
        feature_dim: channels of the features joined.
        num_deconv_layers, num_deconv_filters: see :class:`VPDDepthDecoder`.
        fmap_border: rows and columns of the joined features, at the bottom and right, that are of padding only.
        loss_decode: config of a loss of depths.
    """

    def __init__(self, max_depth: float = 10.0, in_channels: Sequence[int] = _OF_STABLE_DIFFUSION,
                 embed_dim: int = 192, feature_dim: int = 1536, num_deconv_layers: int = 3,
                 num_deconv_filters: Sequence[int] = (32, 32, 32), fmap_border: int | Sequence[int] = 0,
                 align_corners: bool = False, loss_decode: ConfigType | Sequence[ConfigType] = _SILOG,
                 init_cfg: ConfigType | Sequence[ConfigType] | None = _TRUNCATED_NORMAL):
        super().__init__(in_channels, embed_dim, num_classes=1, threshold=0., dropout_ratio=0., in_index=(0, 1, 2, 3),
                         input_transform='multiple_select', loss_decode=loss_decode, align_corners=align_corners,
                         init_cfg=init_cfg)
        del self.conv_seg  # a depth takes the place of classes
        self.max_depth = max_depth
        self.fmap_border = tuple(to_2tuple(fmap_border))
        fine, middle, *_ = in_channels
        self.conv1 = nn.Sequential(nn.Conv2d(fine, fine, 3, stride=2, padding=1), nn.GroupNorm(16, fine), nn.ReLU(),
                                   nn.Conv2d(fine, fine, 3, stride=2, padding=1))
        self.conv2 = nn.Conv2d(middle, middle, 3, stride=2, padding=1)
        self.conv_aggregation = nn.Sequential(nn.Conv2d(sum(in_channels), feature_dim, 1),
                                              nn.GroupNorm(16, feature_dim), nn.ReLU())
        self.decoder = VPDDepthDecoder(feature_dim, embed_dim, num_deconv_layers, num_deconv_filters)
        self.depth_pred_layer = nn.Sequential(nn.Conv2d(embed_dim, embed_dim, 3, padding=1), nn.ReLU(),
                                              nn.Conv2d(embed_dim, 1, 3, padding=1))

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Four features -> depths (B, 1, H, W), 32 times as large as the third feature."""
        x1, x2, x3, x4 = self._transform_inputs(inputs)
        joined = [self.conv1(x1), self.conv2(x2), x3, F.interpolate(x4, x3.shape[2:], mode='nearest')]
        x = self.conv_aggregation(torch.cat(joined, dim=1))
        bottom, right = self.fmap_border
        x = x[:, :, :x.shape[2] - bottom, :x.shape[3] - right]
        return self.depth_pred_layer(self.decoder(x)).sigmoid() * self.max_depth

    def _stack_batch_gt(self, batch_data_samples: SampleList) -> torch.Tensor:
        return torch.stack([sample.gt_depth_map.data for sample in batch_data_samples])  # B 1 H W

    def loss_by_feat(self, pred_depth_map: torch.Tensor, batch_data_samples: SampleList) -> dict:
        """Compare depths (B, 1, h, w), enlarged, with the true ones: each loss by its name."""
        target = self._stack_batch_gt(batch_data_samples)
        depths = resize(pred_depth_map, target.shape[2:], mode='bilinear', align_corners=self.align_corners)
        losses = {}
        for loss in self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]:
            losses[loss.loss_name] = losses.get(loss.loss_name, 0) + loss(depths, target)
        return losses
