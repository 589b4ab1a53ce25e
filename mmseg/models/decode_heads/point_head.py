"""PointRend: Image Segmentation as Rendering, https://arxiv.org/abs/1912.08193."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.utils.point_sample import uncertain_points
from mmseg.ops import point_sample, resize
from mmseg.registry import MODELS
from mmseg.utils.typing_utils import ConfigType, SampleList

_CONV = dict(type='Conv1d')
_RELU = dict(type='ReLU', inplace=False)
_CLASSIFIER_INIT = dict(type='Normal', std=0.01, override=dict(name='fc_seg'))


def calculate_uncertainty(seg_logits: torch.Tensor) -> torch.Tensor:
    """How near the two largest logits of each place are: (B, C, ...) -> (B, 1, ...), at most 0.

    A single logit stands against that of the other class, which is zero.
    """
    if seg_logits.shape[1] == 1:
        return -seg_logits.abs()
    first, second = seg_logits.topk(2, dim=1).values.split(1, dim=1)
    return second - first


@MODELS.register_module()
class PointHead(BaseCascadeDecodeHead):
    """A perceptron that classifies single points anew, from a fine feature and the coarse logits of the head before.

    In training the points are drawn, more where the coarse logits are uncertain: `train_cfg` says by `num_points`,
    `oversample_ratio` and `importance_sample_ratio` how many. In prediction the coarse logits are enlarged by
    `scale_factor`, `subdivision_steps` times, and after each the `subdivision_num_points` most uncertain are replaced:
    these come from `test_cfg`.

    Args:
        num_fcs: number of hidden layers.
        coarse_pred_each_layer: every layer, not the first alone, also takes the coarse logits.
    """

    def __init__(self, num_fcs: int = 3, coarse_pred_each_layer: bool = True, conv_cfg: ConfigType = _CONV,
                 norm_cfg: ConfigType | None = None, act_cfg: ConfigType = _RELU, **kwargs):
        kwargs.setdefault('init_cfg', _CLASSIFIER_INIT)
        super().__init__(input_transform='multiple_select', conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg,
                         **kwargs)
        del self.conv_seg
        if self.dropout is not None:
            self.dropout = nn.Dropout(self.dropout_ratio)
        self.num_fcs = num_fcs
        self.coarse_pred_each_layer = coarse_pred_each_layer
        coarse = self.out_channels
        width = sum(self.in_channels) + coarse
        self.fcs = nn.ModuleList()
        for _ in range(num_fcs):
            self.fcs.append(ConvModule(width, self.channels, 1, **self.conv_options))
            width = self.channels + (coarse if coarse_pred_each_layer else 0)
        self.fc_seg = nn.Conv1d(width, self.out_channels, 1)

    def cls_seg(self, feat: torch.Tensor) -> torch.Tensor:
        """Classify points: (B, channels, P) -> (B, num_classes, P)."""
        return self.fc_seg(feat if self.dropout is None else self.dropout(feat))

    def forward(self, fine_grained_point_feats: torch.Tensor, coarse_point_feats: torch.Tensor) -> torch.Tensor:
        """Fine features (B, C, P) and coarse logits (B, num_classes, P) of points -> logits (B, num_classes, P)."""
        x = torch.cat([fine_grained_point_feats, coarse_point_feats], dim=1)
        for layer in self.fcs:
            x = layer(x)
            if self.coarse_pred_each_layer:
                x = torch.cat([x, coarse_point_feats], dim=1)
        return self.cls_seg(x)

    def _classify(self, features: Sequence[torch.Tensor], coarse: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes, P) of points (B, P, 2), from whole features and coarse logits (B, C, h, w)."""
        fine = torch.cat([point_sample(x, points, self.align_corners) for x in features], dim=1)
        return self.forward(fine, point_sample(coarse, points, self.align_corners))

    def loss(self, inputs: Sequence[torch.Tensor], prev_output: torch.Tensor, batch_data_samples: SampleList,
             train_cfg: ConfigType, **kwargs) -> dict:
        """Return the losses and the accuracy of points, `point…` and `acc_point`."""
        with torch.no_grad():
            points = self.get_points_train(prev_output, calculate_uncertainty, cfg=train_cfg)
        logits = self._classify(self._transform_inputs(inputs), prev_output, points)
        return self.loss_by_feat(logits, points, batch_data_samples)

    def predict(self, inputs: Sequence[torch.Tensor], prev_output: torch.Tensor, batch_img_metas: list[dict],
                test_cfg: ConfigType, **kwargs) -> torch.Tensor:
        """Return logits at the size of the network's input, (B, num_classes, H, W)."""
        steps, factor = _options(test_cfg, 'test_cfg', 'subdivision_steps', 'scale_factor')
        features = self._transform_inputs(inputs)
        refined = prev_output
        for _ in range(steps):
            refined = resize(refined, scale_factor=factor, mode='bilinear', align_corners=self.align_corners)
            index, points = self.get_points_test(refined, calculate_uncertainty, cfg=test_cfg)
            logits = self._classify(features, prev_output, points).to(refined.dtype)
            refined = refined.flatten(2).scatter(2, index.unsqueeze(1).expand_as(logits), logits).view_as(refined)
        return self.predict_by_feat(refined, batch_img_metas)

    def loss_by_feat(self, point_logits: torch.Tensor, points: torch.Tensor, batch_data_samples: SampleList,
                     **kwargs) -> dict:
        """Compare logits (B, num_classes, P) with the labels at points (B, P, 2)."""
        labels = self._stack_batch_gt(batch_data_samples).float()  # B 1 H W
        labels = point_sample(labels, points, self.align_corners, mode='nearest').long()  # B 1 P
        losses = self.compare(point_logits.unsqueeze(-1), labels.unsqueeze(-1))
        return {'acc_point' if name == 'acc_seg' else f'point{name}': value for name, value in losses.items()}

    def get_points_train(self, seg_logits: torch.Tensor, uncertainty_func: Callable[[torch.Tensor], torch.Tensor],
                         cfg: ConfigType) -> torch.Tensor:
        """Draw points (B, num_points, 2), more where the logits (B, C, h, w) are uncertain."""
        return uncertain_points(seg_logits, uncertainty_func, *_options(
            cfg, 'train_cfg', 'num_points', 'oversample_ratio', 'importance_sample_ratio'))

    def get_points_test(self, seg_logits: torch.Tensor, uncertainty_func: Callable[[torch.Tensor], torch.Tensor],
                        cfg: ConfigType) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the most uncertain of the logits (B, C, h, w).

        Returns:
            Their places in a row-by-row order of the map, (B, P), and as points, (B, P, 2).
        """
        most, = _options(cfg, 'test_cfg', 'subdivision_num_points')
        height, width = seg_logits.shape[2:]
        uncertainty = uncertainty_func(seg_logits).flatten(1)  # B (h w)
        index = uncertainty.topk(min(height * width, most), dim=1).indices
        x = (index % width + 0.5) / width
        y = (index // width + 0.5) / height
        return index, torch.stack([x, y], dim=2)


def _options(cfg: ConfigType | None, where: str, *names: str) -> list:
    missing = [name for name in names if name not in (cfg or ())]
    if missing:
        raise ValueError(f'PointHead takes {", ".join(names)} from the {where} of the model: add {", ".join(missing)}')
    return [cfg[name] for name in names]
