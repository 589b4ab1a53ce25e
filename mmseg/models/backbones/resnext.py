"""Aggregated residual transformations: ResNeXt, https://arxiv.org/abs/1611.05431."""
from __future__ import annotations

from mmseg.models.backbones import resnet
from mmseg.models.utils.res_layer import ResLayer
from mmseg.registry import MODELS


class Bottleneck(resnet.Bottleneck):
    """ResNet's bottleneck with a grouped 3x3 convolution, wider by the groups.

    Args:
        groups: of the 3x3 convolution; 1 makes it ResNet's.
        base_width: channels of a group in the first stage, the one with `planes == base_channels`.
    """

    def __init__(self, inplanes: int, planes: int, groups: int = 1, base_width: int = 4, base_channels: int = 64,
                 **kwargs):
        width = planes if groups == 1 else planes * base_width // base_channels * groups
        super().__init__(inplanes, planes, width=width, groups=groups, **kwargs)


@MODELS.register_module()
class ResNeXt(resnet.ResNet):
    """ResNeXt with 50, 101 or 152 layers: `groups=32, base_width=4` is the paper's 32x4d.

    Args:
        groups: of the 3x3 convolutions.
        base_width: channels of a group in the first stage.
        kwargs: as for :class:`ResNet`.
    """

    arch_settings = {depth: (Bottleneck, blocks) for depth, (block, blocks) in resnet.ResNet.arch_settings.items()
                     if block is resnet.Bottleneck}

    def __init__(self, groups: int = 1, base_width: int = 4, **kwargs):
        self.groups = groups
        self.base_width = base_width
        self.base_channels = kwargs.get('base_channels', 64)
        super().__init__(**kwargs)

    def make_res_layer(self, **kwargs) -> ResLayer:
        """Build a stage of grouped bottlenecks."""
        grouping = dict(groups=self.groups, base_width=self.base_width, base_channels=self.base_channels)
        return ResLayer(**grouping, **kwargs)
