"""What a training may do to a network before it begins: recompute, compile, lay out anew, all without new weights."""
from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from mmseg.utils.errors import InputError
from mmseg.utils.recompute import checkpointed


def blocks_of(model: nn.Module, names: Sequence[str] | None = None) -> dict[str, nn.Module]:
    """Return the blocks that a network repeats, by name: what is worth recomputing, or sharding, one at a time.

    Args:
        names: modules (`backbone.layer3`, whose elements are meant where it is a list) or classes (`SwinBlock`);
            None finds the elements of the innermost lists of the backbone, such as its residual or attention blocks.

    Raises:
        InputError: a name fits nothing.
    """
    if names is None:
        backbone = getattr(model, 'backbone', None)
        return dict(_repeated('', model) if backbone is None else _repeated('backbone.', backbone))
    modules = dict(model.named_modules())
    kinds: dict[str, dict[str, nn.Module]] = {}
    for name, module in modules.items():
        kinds.setdefault(type(module).__name__, {})[name] = module
    found = {}
    for wanted in names:
        if wanted in kinds:
            found.update(kinds[wanted])
        elif isinstance(modules.get(wanted), nn.Sequential | nn.ModuleList):
            found.update((f'{wanted}.{key}', child) for key, child in modules[wanted].named_children())
        elif wanted in modules:
            found[wanted] = modules[wanted]
        else:
            near = difflib.get_close_matches(wanted, [*kinds, *modules], n=3) or sorted(kinds)[:3]
            raise InputError(f'{wanted!r} is no module and no class of one in {type(model).__name__}; near are '
                             f'{", ".join(near)}')
    return found


def _repeated(prefix: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The elements of the lists below a module, but for bare layers; of lists within lists, those of the inner ones."""
    for name, child in module.named_children():
        if not isinstance(child, nn.Sequential | nn.ModuleList):
            yield from _repeated(f'{prefix}{name}.', child) if _has_list(child) else ()
            continue
        for number, element in child.named_children():
            path = f'{prefix}{name}.{number}'
            if _has_list(element):
                yield from _repeated(f'{path}.', element)
            elif next(element.children(), None) is not None:
                yield path, element


def _has_list(module: nn.Module) -> bool:
    return any(isinstance(part, nn.ModuleList) for part in module.modules())


def recompute_activations(model: nn.Module, names: Sequence[str] | None = None) -> list[str]:
    """Let blocks compute their activations again in the backward pass instead of keeping them; return their names."""
    chosen = blocks_of(model, names)
    for block in chosen.values():
        block.forward = _recomputing(block, block.forward)
    return list(chosen)


def _recomputing(block: nn.Module, forward: Callable) -> Callable:
    @functools.wraps(forward)
    def recomputing(*inputs, **options):
        if not (block.training and torch.is_grad_enabled()):
            return forward(*inputs, **options)
        return checkpointed(block, functools.partial(forward, **options), *inputs)

    return recomputing


def compile_network(model: nn.Module, **options) -> None:
    """Compile backbone and neck as one graph and each head as another, for training; the keys of the weights stay.

    Losses, which look into samples, and evaluation, where sizes change from image to image, run as they are.

    Args:
        options: of `torch.compile`.
    """
    parts = [(model, 'extract_feat')] if hasattr(model, 'extract_feat') else []
    for name in ('decode_head', 'auxiliary_head') if parts else ():
        heads = getattr(model, name, None)
        heads = heads if isinstance(heads, nn.ModuleList) else [heads] if heads is not None else []
        parts += [(head, 'forward') for head in heads]
    for module, name in parts or [(model, 'forward')]:
        plain = getattr(module, name)
        setattr(module, name, _while_training(module, plain, torch.compile(plain, **options)))


def _while_training(module: nn.Module, plain: Callable, compiled: Callable) -> Callable:
    @functools.wraps(plain)
    def either(*args, **kwargs):
        return (compiled if module.training else plain)(*args, **kwargs)

    return either


def lay_out_channels_last(model: nn.Module) -> None:
    """Keep weights and activations in the order N H W C, which convolutions of a GPU in half precision prefer."""
    model.to(memory_format=torch.channels_last)
    getattr(model, 'backbone', model).register_forward_pre_hook(_to_channels_last, with_kwargs=False)


def _to_channels_last(module: nn.Module, inputs: tuple) -> tuple:
    return tuple(x.contiguous(memory_format=torch.channels_last)
                 if isinstance(x, torch.Tensor) and x.dim() == 4 else x for x in inputs)
