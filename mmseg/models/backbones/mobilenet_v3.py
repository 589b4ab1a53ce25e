"""Searching for MobileNetV3, https://arxiv.org/abs/1905.02244, as its section on segmentation has it: stride 8."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule

from mmseg.models.utils import InvertedResidualV3
from mmseg.models.utils.backbone_options import CONV_INIT, FreezableBackbone, choose_init_cfg, freeze
from mmseg.registry import MODELS

_BN = dict(type='BN')
_HARD_SWISH = dict(type='HSwish')
_GATE_ACTIVATIONS = (dict(type='ReLU'), dict(type='HSigmoid', bias=3.0, divisor=6.0))
_TENSORFLOW_PADDING = dict(type='Conv2dAdaptivePadding')


@MODELS.register_module()
class MobileNetV3(FreezableBackbone):
    """MobileNetV3 without its classifier, its two last strides exchanged for dilations.

    Args:
        arch: `'small'` (layers 0 to 12) or `'large'` (layers 0 to 16): a stem, the blocks, and a 1x1 convolution.
        out_indices: layers whose output is returned.
        frozen_stages: the last of the layers, counted from 0, that do not learn; -1 means none.
        reduction_factor: by which the blocks of the last stage are narrower than those of the classifier.
        norm_eval: keep the running statistics of every batch normalisation.
        with_cp: compute the blocks' activations again in the backward pass rather than keep them.
        pretrained: address of weights, short for `init_cfg=dict(type='Pretrained', checkpoint=...)`.

    Attributes:
        out_channels, out_strides: of each returned feature.
    """

    # Kernel size, channels inside and at the end, whether there is a channel gate, activation and stride of each block.
    arch_settings = {
        'small': ((3, 16, 16, True, 'ReLU', 2),
                  (3, 72, 24, False, 'ReLU', 2), (3, 88, 24, False, 'ReLU', 1),
                  (5, 96, 40, True, 'HSwish', 2), (5, 240, 40, True, 'HSwish', 1), (5, 240, 40, True, 'HSwish', 1),
                  (5, 120, 48, True, 'HSwish', 1), (5, 144, 48, True, 'HSwish', 1),
                  (5, 288, 96, True, 'HSwish', 2), (5, 576, 96, True, 'HSwish', 1), (5, 576, 96, True, 'HSwish', 1)),
        'large': ((3, 16, 16, False, 'ReLU', 1),
                  (3, 64, 24, False, 'ReLU', 2), (3, 72, 24, False, 'ReLU', 1),
                  (5, 72, 40, True, 'ReLU', 2), (5, 120, 40, True, 'ReLU', 1), (5, 120, 40, True, 'ReLU', 1),
                  (3, 240, 80, False, 'HSwish', 2), (3, 200, 80, False, 'HSwish', 1), (3, 184, 80, False, 'HSwish', 1),
                  (3, 184, 80, False, 'HSwish', 1),
                  (3, 480, 112, True, 'HSwish', 1), (3, 672, 112, True, 'HSwish', 1),
                  (5, 672, 160, True, 'HSwish', 2), (5, 960, 160, True, 'HSwish', 1), (5, 960, 160, True, 'HSwish', 1)),
    }
    last_channels = {'small': 576, 'large': 960}

    def __init__(self, arch: str = 'small', conv_cfg: dict | None = None, norm_cfg: dict = _BN,
                 out_indices: Sequence[int] = (0, 1, 12), frozen_stages: int = -1, reduction_factor: int = 1,
                 norm_eval: bool = False, with_cp: bool = False, pretrained: str | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(choose_init_cfg(pretrained, init_cfg, default=list(CONV_INIT)))
        self._check(arch, out_indices, frozen_stages, reduction_factor)
        self.arch = arch
        self.out_indices = tuple(sorted(out_indices))
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        stem = ConvModule(3, 16, 3, stride=2, padding=1, conv_cfg=_TENSORFLOW_PADDING, norm_cfg=norm_cfg,
                          act_cfg=_HARD_SWISH)
        layers, channels, strides, dilation = [stem], [16], [2], 1
        for kernel_size, hidden, width, gated, activation, stride in self.arch_settings[arch]:
            shrinks = stride == 2
            if shrinks and strides[-1] == 8:
                dilation, stride = dilation * 2, 1
            if dilation == 4:  # the last stage, that of the classifier's stride 32
                hidden, width = hidden // reduction_factor, width // reduction_factor
            gate = dict(channels=hidden, ratio=4, act_cfg=_GATE_ACTIVATIONS) if gated else None
            layers.append(InvertedResidualV3(
                channels[-1], width, hidden, kernel_size, stride, se_cfg=gate, with_expand_conv=channels[-1] != hidden,
                conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=dict(type=activation), with_cp=with_cp,
                dilation=dilation, with_shortcut=not shrinks))
            channels.append(width)
            strides.append(strides[-1] * stride)
        layers.append(ConvModule(channels[-1], self.last_channels[arch], 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg,
                                 act_cfg=_HARD_SWISH))
        channels.append(self.last_channels[arch])
        strides.append(strides[-1])

        self.layers = [f'layer{i}' for i in range(len(layers))]
        for name, layer in zip(self.layers, layers):
            self.add_module(name, layer)
        self.out_channels = tuple(channels[i] for i in self.out_indices)
        self.out_strides = tuple(strides[i] for i in self.out_indices)
        self._freeze_stages()

    @classmethod
    def _check(cls, arch: str, out_indices: Sequence[int], frozen_stages: int, reduction_factor: int) -> None:
        if arch not in cls.arch_settings:
            raise KeyError(f'MobileNetV3 comes as {" and ".join(cls.arch_settings)}, found arch={arch!r}')
        last = len(cls.arch_settings[arch]) + 1
        if not set(out_indices) <= set(range(last + 1)):
            raise ValueError(f'out_indices of the {arch} network must lie in 0 to {last}, found {tuple(out_indices)}')
        if not -1 <= frozen_stages <= last:
            raise ValueError(f'frozen_stages must be -1 (none) to {last}, found {frozen_stages}')
        if reduction_factor < 1:
            raise ValueError(f'reduction_factor must be at least 1, found {reduction_factor}')

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, 3, H, W) -> a feature (B, C, H / stride, W / stride) of each layer in `out_indices`."""
        features = []
        for i, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                features.append(x)
        return tuple(features)

    def _freeze_stages(self) -> None:
        freeze(*(getattr(self, name) for name in self.layers[:self.frozen_stages + 1]))
