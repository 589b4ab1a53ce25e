"""Any network of the package timm, by its name there: https://github.com/huggingface/pytorch-image-models."""
from __future__ import annotations

import difflib
from pathlib import Path
from types import ModuleType
from typing import Any

import mmcv.cnn  # noqa: F401 (registers the layers that `norm_layer` may name)
import torch
from mmengine.model import BaseModule
from torch import nn

from mmseg.registry import MODELS
from mmseg.utils.errors import CheckpointError, InputError


@MODELS.register_module()
class TIMMBackbone(BaseModule):
    """A network that timm builds; returns its features of all strides.

    Its weights are loaded by :meth:`init_weights`, as those of every other backbone.

    Args:
        model_name: timm's name, such as `'resnet50'` or, with the tag of its weights, `'resnet50.a1_in1k'`.
        features_only: return a list of features; otherwise what the network itself returns.
        pretrained: start from the weights that timm publishes.
        checkpoint_path: file of weights of that network to start from instead, with or without its classifier.
        in_channels: of the image.
        kwargs: further arguments of `timm.create_model`, such as `out_indices` or `output_stride`; `norm_layer` may be
            the name of a layer registered in mmengine or mmcv.

    Attributes:
        out_channels, out_strides: of each feature, with `features_only`.
    """

    def __init__(self, model_name: str, features_only: bool = True, pretrained: bool = True,
                 checkpoint_path: str = '', in_channels: int = 3, init_cfg: dict | list | None = None,
                 **kwargs: Any):
        super().__init__(init_cfg)
        if isinstance(kwargs.get('norm_layer'), str):
            kwargs['norm_layer'] = MODELS.get(kwargs['norm_layer'])
        self.model_name = model_name
        self.pretrained = pretrained
        self.checkpoint_path = checkpoint_path
        self.options = dict(kwargs, in_chans=in_channels, **(dict(features_only=True) if features_only else {}))
        self.timm_model = self._create()
        if features_only:
            self.out_channels = tuple(self.timm_model.feature_info.channels())
            self.out_strides = tuple(self.timm_model.feature_info.reduction())

    def _create(self, **weights: Any) -> nn.Module:
        timm = _import_timm()
        name = self.model_name.partition('.')[0]
        if ':' not in name and not timm.is_model(name):  # `hf-hub:…` and `local-dir:…` are found elsewhere
            near = difflib.get_close_matches(name, timm.list_models(), n=5, cutoff=0.4)
            raise InputError(f'timm {timm.__version__} has no network {name!r}' +
                             (f'; near to it are {", ".join(near)}' if near else '; `timm.list_models()` lists them'))
        return timm.create_model(self.model_name, **weights, **self.options)

    def init_weights(self) -> None:
        """Load the file, or the weights that timm publishes, or start as `init_cfg` says."""
        if not (self.pretrained or self.checkpoint_path):
            super().init_weights()
            return
        # timm loads weights into the whole network, before it takes the features' part out of it.
        source = self._create_from_file() if self.checkpoint_path else self._create_from_hub()
        self.timm_model.load_state_dict(source.state_dict())

    def _create_from_file(self) -> nn.Module:
        if not Path(self.checkpoint_path).is_file():
            raise CheckpointError(f'no checkpoint {self.checkpoint_path}, which checkpoint_path names')
        try:
            return self._create(pretrained=True, pretrained_cfg_overlay=dict(file=self.checkpoint_path))
        except (RuntimeError, KeyError) as error:
            reason = ' '.join(str(error).split())[:300]  # PyTorch lists every weight
            raise CheckpointError(f'{self.checkpoint_path} does not hold the weights of {self.model_name}: {reason}'
                                  ) from error

    def _create_from_hub(self) -> nn.Module:
        try:
            return self._create(pretrained=True)
        except Exception as error:  # of the network, of a cache or of the package that fetches them: any kind
            raise CheckpointError(
                f'the weights of {self.model_name} cannot be fetched ({type(error).__name__}: {error}). Without a '
                'network, set checkpoint_path to a file of them, or pretrained=False to start anew') from error

    def forward(self, x: torch.Tensor) -> list[torch.Tensor] | torch.Tensor:
        """(B, in_channels, H, W) -> a feature (B, C, H / stride, W / stride) of each of `out_channels`."""
        out = self.timm_model(x)
        if getattr(self.timm_model, 'output_fmt', None) == 'NHWC':
            return [feature.permute(0, 3, 1, 2).contiguous() for feature in out]
        return out


def _import_timm() -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise ImportError(f'TIMMBackbone needs the package timm ({error}): pip install timm torchvision') from error
    return timm
