"""What the options common to all backbones mean: `pretrained`, `frozen_stages`, `norm_eval` and `with_cp`."""
from __future__ import annotations

from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import nn

from mmseg.utils.recompute import batch_norms, checkpointed  # noqa: F401  the backbones take them from here

# How a convolutional backbone starts where nothing else is said.
CONV_INIT = (dict(type='Kaiming', layer='Conv2d'), dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']))


def choose_init_cfg(pretrained: str | None, init_cfg: dict | list | None,
                    default: dict | list | None = None) -> dict | list | None:
    """Return the one `init_cfg` that the arguments of a constructor amount to.

    Args:
        pretrained: address of weights; the older way to write `init_cfg=dict(type='Pretrained', checkpoint=...)`.
        init_cfg: how mmengine shall initialise the weights.
        default: the answer where neither is given.
    """
    if pretrained is None:
        return default if init_cfg is None else init_cfg
    if init_cfg is not None:
        raise ValueError(f'pretrained={pretrained!r} and init_cfg={init_cfg!r} both name initial weights: keep one')
    if not isinstance(pretrained, str):
        raise TypeError(f'pretrained must be the address of a checkpoint or None, found {type(pretrained).__name__}')
    return dict(type='Pretrained', checkpoint=pretrained)


def freeze(*modules: nn.Module) -> None:
    """Stop modules from learning: no gradient reaches their parameters, and they stay in evaluation mode.

    `train()` of the owner undoes the latter, so a backbone calls this again there.
    """
    for module in modules:
        module.eval()
        module.requires_grad_(False)


def freeze_but(module: nn.Module, learning: Sequence[str]) -> None:
    """Let only those parameters learn whose names contain one of `learning`; `'all'` among them freezes none."""
    if 'all' not in learning:
        for name, parameter in module.named_parameters():
            parameter.requires_grad = any(part in name for part in learning)


def hold_batch_norms(module: nn.Module) -> None:
    """Put every batch normalisation in evaluation mode, so that it uses and keeps its running statistics."""
    for norm in batch_norms(module):
        norm.eval()


class FreezableBackbone(BaseModule):
    """A backbone of which some stages can be kept from learning, and batch normalisations from tracking.

    A subclass that has `frozen_stages` freezes them in `_freeze_stages`, and calls that at the end of its constructor.
    """

    norm_eval = False  # keep the running statistics of every batch normalisation

    def _freeze_stages(self) -> None:
        """Freeze what shall not learn."""

    def train(self, mode: bool = True) -> FreezableBackbone:
        """Change the mode, but for frozen stages and, with `norm_eval`, batch normalisations."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            hold_batch_norms(self)
        return self
