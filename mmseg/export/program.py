"""A network as a graph of `torch.export`: of one size of images, or of any."""
from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from mmseg.export.network import ExportNetwork
from mmseg.export.replacements import Exportable
from mmseg.utils.errors import InputError

# A graph for any size is recorded with images so large that no feature map shrinks to one pixel, and of sides that
# nothing divides, so that every padding is needed: what is true of the recorded size is taken to be true of all.
_LARGE = (1027, 1581)
# Of the largest logit, what a graph may differ by.
TOLERANCE = 1e-3
# What a network may want sides to be multiples of; the first that it takes is recorded.
_MULTIPLES = (1, 8, 16, 32, 64)


@dataclass(frozen=True)
class Program:
    """A recorded network.

    Args:
        graph: of one input and one output.
        shape: of the input that it was asked for, with the batch first.
        multiple: sides of images must be multiples of it; None where the graph is for one size.
    """

    graph: torch.export.ExportedProgram
    shape: tuple[int, ...]
    multiple: int | None

    def takes(self, height: int, width: int) -> bool:
        """Whether the graph is surely right for images of this size: all that held while it was recorded holds.

        It may be right where something does not: conditions that only concern the layout of memory are among them.
        """
        if self.multiple is None:
            return (height, width) == self.sides
        return height % self.multiple == width % self.multiple == 0 and _holds(self.graph, self._empty(height, width))

    @property
    def sides(self) -> tuple[int, int]:
        return self.shape[1:3] if self._is_image else self.shape[2:4]

    @property
    def _is_image(self) -> bool:
        return _example(self.graph).dtype == torch.uint8

    def _empty(self, height: int, width: int) -> torch.Tensor:
        return empty_input(self.shape, self._is_image, (height, width))


def empty_input(shape: tuple[int, ...], is_image: bool, sides: tuple[int, int]) -> torch.Tensor:
    """Return an input of other sides, of which only one number is stored."""
    full = (shape[0], *sides, shape[3]) if is_image else (*shape[:2], *sides)
    return torch.zeros((), dtype=torch.uint8 if is_image else torch.float32).expand(full)


def record(network: ExportNetwork, shape: tuple[int, ...], dynamic: bool = False) -> Program:
    """Record a network.

    Args:
        shape: (N, bands, H, W), or (N, H, W, bands) where it takes images.
        dynamic: for images of any height and width.

    Raises:
        InputError: the network cannot be recorded so; the message says why.
    """
    if not hasattr(torch, 'export') or tuple(map(int, torch.__version__.split('+')[0].split('.')[:2])) < (2, 9):
        raise InputError(f'exporting takes PyTorch 2.9 or newer, found {torch.__version__}')
    is_image = network.interface.takes_image
    sides = shape[1:3] if is_image else shape[2:4]
    example = empty_input(shape, is_image, sides).contiguous()
    _try(network, example)
    if not dynamic:
        return Program(_record(network, example, None), shape, None)
    return _record_any_size(network, shape, is_image)


@torch.no_grad()
def _try(network: ExportNetwork, example: torch.Tensor) -> None:
    """Run a network once: what it computes only the first time is no part of the graph then."""
    try:
        network(example)
    except ValueError as error:
        raise InputError(f'this network does not take images of {" x ".join(map(str, example.shape))}: {error}') \
            from error


def _record_any_size(network: ExportNetwork, shape: tuple[int, ...], is_image: bool) -> Program:
    """Record with several sizes in turn, until what was true of one is true of the size that was asked for."""
    wanted = shape[1:3] if is_image else shape[2:4]
    axes = (1, 2) if is_image else (2, 3)
    refusal = None
    for multiple in _MULTIPLES:
        least = tuple(-(-side // multiple) * multiple for side in wanted)
        for sides in _recorded_sizes(wanted, multiple):
            dims = {axis: _dimension(name, multiple) for axis, name in zip(axes, ('height', 'width'))}
            try:
                graph = _record(network, empty_input(shape, is_image, sides), (dims,))
            except InputError as error:
                refusal = refusal or error
                continue
            program = Program(graph, shape, multiple)
            if program.takes(*least) or _equal(network, graph, empty_input(shape, is_image, least)):
                return program
            refusal = refusal or InputError('a graph of one size gives other results at another')
    raise InputError(f'this network does not take images of any size: {refusal}; leave --dynamic-export out') \
        from refusal


@torch.no_grad()
def _equal(network: ExportNetwork, graph: torch.export.ExportedProgram, image: torch.Tensor) -> bool:
    """Whether a network and its graph make the same of noise of the size and type of `image`."""
    noise = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)) * 4 - 2
    image = noise.abs().mul(64).to(image.dtype) if image.dtype == torch.uint8 else noise
    try:
        expected, found = network(image).float(), graph.module(check_guards=False)(image).float()
    except (RuntimeError, ValueError, AssertionError):
        return False
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())


def _recorded_sizes(wanted: tuple[int, int], multiple: int) -> Iterator[tuple[int, int]]:
    """Yield a large size, one near to what is wanted, and that itself; no squares: a graph would be for squares."""
    for sides in (tuple(map(max, wanted, _LARGE)), wanted):
        height, width = (_odd_multiple(side, multiple) for side in sides)
        yield height, width + 2 * multiple * (height == width)
    if multiple > 1:
        height, width = (-(-side // multiple) * multiple for side in wanted)
        yield height, width + multiple * (height == width)


def _odd_multiple(side: int, multiple: int) -> int:
    """The least odd multiple that is no less than a side, of which no windows of 7 are left over either."""
    factor = -(-side // multiple) | 1
    return (factor + (2 if factor % 7 == 0 else 0)) * multiple


def _dimension(name: str, multiple: int):
    return torch.export.Dim.DYNAMIC if multiple == 1 else torch.export.Dim(f'{name}_in_{multiple}s') * multiple


def _record(network: nn.Module, example: torch.Tensor, dynamic_shapes: tuple | None) -> torch.export.ExportedProgram:
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(Exportable(network), (example,), dynamic_shapes=dynamic_shapes, strict=False)
    except Exception as error:
        raise InputError(_sentence(error)) from error


def _sentence(error: BaseException) -> str:
    """The first line of what a network or PyTorch's exporter complained about."""
    while error.__cause__ is not None and not isinstance(error, ValueError):
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{lines[0] if lines else type(error).__name__}'.rstrip('.')


def _example(graph: torch.export.ExportedProgram) -> torch.Tensor:
    return graph.example_inputs[0][0]


def _holds(graph: torch.export.ExportedProgram, image: torch.Tensor) -> bool:
    conditions = getattr(graph.module(), '_guards_fn', None)
    if conditions is None:
        return True
    try:
        conditions(image)
    except (AssertionError, RuntimeError):
        return False
    return True


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the warnings and notes of exporters, which are about their own work, from the screen."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(disabled)
