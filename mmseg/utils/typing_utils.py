"""Types that signatures share."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union

import torch
from mmengine.config import ConfigDict

from mmseg.structures import SegDataSample

ConfigType = Union[ConfigDict, dict]
OptConfigType = Optional[ConfigType]
MultiConfig = Union[ConfigType, Sequence[ConfigType]]
OptMultiConfig = Optional[MultiConfig]

SampleList = Sequence[SegDataSample]
OptSampleList = Optional[SampleList]

TensorDict = dict[str, torch.Tensor]
TensorList = Sequence[torch.Tensor]
ForwardResults = Union[TensorDict, list[SegDataSample], tuple[torch.Tensor, ...], torch.Tensor]
