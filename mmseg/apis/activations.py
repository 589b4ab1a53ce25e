"""What happens inside a model: outputs of its layers for a picture, and which of them speak for a class."""
from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mmseg.apis.pipeline import ImagePipeline
from mmseg.ops import resize
from mmseg.utils.errors import InputError

if TYPE_CHECKING:
    from mmseg.apis.inference import ImageType
    from mmseg.models.segmentors.base import BaseSegmentor


def layer_outputs(model: BaseSegmentor, image: ImageType, layers: Sequence[str]) -> dict[str, Tensor]:
    """Return the outputs (C, h, w) of some modules for an image, by name; of several outputs of one, the last."""
    with torch.no_grad():
        inputs, metas = _prepared(model, image)
        with _listening(model, layers) as heard:
            model.encode_decode(inputs, metas)
    return {name: _as_maps(_heard(heard, name), name, inputs)[0].float().cpu() for name in layers}


def class_activation(model: BaseSegmentor, image: ImageType, category: int, layers: Sequence[str]) -> Tensor:
    """Return how much each pixel (h, w) of the model's input speaks for a class, from 0 to 1: Grad-CAM.

    Args:
        category: number of the class.
        layers: modules whose outputs are asked; several are averaged.
    """
    inputs, metas = _prepared(model, image)
    with torch.enable_grad(), _listening(model, layers) as heard:
        logits = model.encode_decode(inputs.requires_grad_(), metas)
        outputs = [_heard(heard, name) for name in layers]
        own = logits.argmax(1) == category if logits.shape[1] > 1 else logits[:, 0] > 0
        score = (logits[:, min(category, logits.shape[1] - 1)] * own).sum()
        gradients = torch.autograd.grad(score, outputs, allow_unused=True)
    heats = []
    for name, output, gradient in zip(layers, outputs, gradients):
        if gradient is None:
            raise InputError(f'the output of {name} has no part in the logits: choose a layer before them')
        maps, slopes = (_as_maps(value, name, inputs).detach() for value in (output, gradient))
        heat = (maps * slopes.mean((2, 3), keepdim=True)).sum(1, keepdim=True).relu()
        heats.append(resize(heat / heat.amax().clamp(min=1e-12), inputs.shape[2:], mode='bilinear'))
    return torch.stack(heats).mean(0)[0, 0].float().cpu()


def _prepared(model: BaseSegmentor, image: ImageType) -> tuple[Tensor, list[dict]]:
    """Take an image through the test pipeline and the preprocessor: a batch of one, and its meta data."""
    item = ImagePipeline(model.cfg)(image)
    batch = model.data_preprocessor(dict(inputs=[item['inputs']], data_samples=[item['data_samples']]), False)
    return batch['inputs'], [sample.metainfo for sample in batch['data_samples']]


@contextmanager
def _listening(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of modules by name while the model runs."""
    heard, hooks = {}, []
    for name in layers:
        def listen(module, inputs, output, name=name):
            while isinstance(output, (list, tuple)):
                output = output[-1]
            heard[name] = output
        hooks.append(find_module(model, name).register_forward_hook(listen))
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _heard(heard: dict[str, Tensor], name: str) -> Tensor:
    if not torch.is_tensor(heard.get(name)):
        raise InputError(f'{name} is not called by itself, or returns no tensor: choose a module inside or before it')
    return heard[name]


def find_module(model: nn.Module, name: str) -> nn.Module:
    """Return a module by its path, such as `backbone.layer4[2]` or `backbone.layer4.2`.

    Raises:
        InputError: there is none; the message names the nearest.
    """
    modules = dict(model.named_modules())
    path = re.sub(r'\[(-?\d+)\]', r'.\1', name.removeprefix('model.'))
    if path not in modules or not path:
        near = difflib.get_close_matches(path, modules, n=3, cutoff=0.4) or list(dict(model.named_children()))
        raise InputError(f'the model has no module {name!r}: the nearest are {", ".join(near)}')
    return modules[path]


def _as_maps(value: Tensor, name: str, inputs: Tensor) -> Tensor:
    """Turn the output of a layer into maps; tokens (1, N, C) are laid out in the ratio of the image's sides."""
    if value.dim() == 4:
        return value
    if value.dim() != 3:
        raise InputError(f'the output of {name} has the shape {tuple(value.shape)}: expected maps (1, C, h, w) or '
                         'tokens (1, N, C)')
    height, width = inputs.shape[2:]
    for extra in (0, 1, 2):  # tokens of no place, such as that of the class, stand first
        count = value.shape[1] - extra
        h = round((count * height / width) ** 0.5)
        if h and count % h == 0 and abs(count // h / h - width / height) < 0.25 * width / height:
            return value[:, extra:].transpose(1, 2).unflatten(2, (h, count // h))  # 1 (h w) C -> 1 C h w
    raise InputError(f'the output of {name} has {value.shape[1]} tokens, which are no grid of an image of {height} x '
                     f'{width}: choose another layer')
