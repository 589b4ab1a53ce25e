"""The classifier of Fast-SCNN: Fast Semantic Segmentation Network, https://arxiv.org/abs/1902.04502."""
from __future__ import annotations

from mmcv.cnn import DepthwiseSeparableConvModule

from mmseg.models.decode_heads.fcn_head import FCNHead
from mmseg.registry import MODELS


@MODELS.register_module()
class DepthwiseSeparableFCNHead(FCNHead):
    """An :class:`FCNHead` whose convolutions are depthwise separable, without dilation.

    Args:
        dw_act_cfg: activation between the depthwise and the pointwise part, or None.
    """

    def __init__(self, dw_act_cfg: dict | None = None, **kwargs):
        self.dw_act_cfg = dw_act_cfg
        super().__init__(**kwargs)

    def _make_conv(self, in_channels: int, out_channels: int, dilation: int = 1) -> DepthwiseSeparableConvModule:
        return DepthwiseSeparableConvModule(in_channels, out_channels, self.kernel_size, padding=self.kernel_size // 2,
                                            norm_cfg=self.norm_cfg, dw_act_cfg=self.dw_act_cfg)
