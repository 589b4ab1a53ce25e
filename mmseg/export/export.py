"""From a model to a file of any kind, which is compared with the model before it may stay."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mmseg.export.backends import Exported, open_exported
from mmseg.export.network import ExportNetwork, Interface
from mmseg.export.program import Program, empty_input, record
from mmseg.export.verify import Comparison, other_sizes, prepared, verify_export
from mmseg.utils.errors import InputError
from mmseg.version import __version__

# Which backend runs a file of each format.
FORMATS = {'onnx': 'onnxruntime', 'openvino': 'openvino', 'torchscript': 'torchscript', 'torch-export': 'torch-export'}


@dataclass(frozen=True)
class Outcome:
    """What is known about a file that was written.

    Args:
        multiple: sides of images must be multiples of it; None where the file is for one size, or does not tell.
        compared: file and model, on an image of several sizes.
        refused: sizes that the file is not for.
    """

    multiple: int | None
    compared: Sequence[Comparison] = ()
    refused: Sequence[tuple[int, int]] = ()


def export_model(model: nn.Module, path: str | Path, file_format: str, sides: tuple[int, int], *, bands: int = 3,
                 batch_size: int = 1, dynamic: bool = False, interface: Interface | None = None,
                 opset: int | None = None, image: np.ndarray | None = None) -> Outcome:
    """Write a model as a file that runs without this library.

    Args:
        model: from `mmseg.apis.init_model`.
        file_format: a key of `FORMATS`.
        sides: height and width of the images.
        dynamic: for images of any height and width.
        interface: what the file takes and gives.
        opset: version of ONNX's operators.
        image: to compare file and model with, (H, W, bands), uint8 in BGR; None does not compare.

    Raises:
        InputError: the model cannot be exported so, or the file computes something else; no file is left then.
    """
    path = Path(path)
    network = ExportNetwork(model, interface or Interface())
    _check_sides(network.interface, sides)
    takes_image = network.interface.takes_image
    shape = (batch_size, *sides, bands) if takes_image else (batch_size, bands, *sides)
    try:
        program = _write(network, path, file_format, shape, dynamic, opset)
        if image is None:
            return Outcome(program and program.multiple)
        exported = open_exported(path, FORMATS[file_format])
        return _compared(network, exported, image, sides, batch_size, program, dynamic)
    except BaseException:
        for file in files_of(path):
            file.unlink(missing_ok=True)
        raise


def _check_sides(interface: Interface, sides: tuple[int, int]) -> None:
    for name, size in (('the image', sides), ('the output', interface.output_size)):
        if size and min(size) < 1:
            raise InputError(f'{name} cannot have {size[0]} x {size[1]} pixels')


def files_of(path: Path) -> list[Path]:
    """The files that an export consists of: its own, and weights beside it."""
    return [path, path.with_suffix('.bin'), path.with_name(path.name + '.data')] if path.suffix == '.xml' else \
        [path, path.with_name(path.name + '.data')]


def notes_of(network: ExportNetwork, shape: Sequence[int], dynamic: bool, multiple: int = 1) -> dict:
    """What a file says about itself."""
    model = network.model
    open_axes = () if not dynamic else (1, 2) if network.interface.takes_image else (2, 3)
    cfg = getattr(model, 'cfg', None)
    return dict(
        interface=network.interface.to_dict(),
        shape=[None if axis in open_axes else side for axis, side in enumerate(shape)],
        multiple=multiple,
        classes=list((getattr(model, 'dataset_meta', None) or {}).get('classes') or ()),
        config=Path(cfg.filename).stem if cfg is not None and cfg.get('filename') else '',
        mmseg=__version__, torch=torch.__version__)


def _write(network: ExportNetwork, path: Path, file_format: str, shape: tuple[int, ...], dynamic: bool,
           opset: int | None) -> Program | None:
    if file_format == 'torchscript':
        notes = notes_of(network, shape, dynamic)
        from mmseg.export.torchscript import save_torchscript
        sides = shape[1:3] if network.interface.takes_image else shape[2:4]
        example = empty_input(shape, network.interface.takes_image, sides).contiguous()
        save_torchscript(network, example, path, notes)
        return None
    if file_format in ('onnx', 'openvino'):
        from mmseg.export.onnx import check_opset
        check_opset(opset)
    program = record(network, shape, dynamic)
    notes = notes_of(network, shape, dynamic, program.multiple or 1)
    if file_format == 'torch-export':
        from mmseg.export.torchscript import save_program
        save_program(program, path, notes)
        return program
    from mmseg.export.onnx import save_onnx
    if file_format == 'onnx':
        save_onnx(program, path, notes, opset)
        return program
    from mmseg.export.openvino import save_openvino
    onnx_file = path.with_suffix('.onnx')
    try:
        save_onnx(program, onnx_file, notes, opset)
        save_openvino(onnx_file, path)
    finally:
        for file in files_of(onnx_file):
            file.unlink(missing_ok=True)
    return program


def _compared(network: ExportNetwork, exported: Exported, image: np.ndarray, sides: tuple[int, int], batch_size: int,
              program: Program | None, dynamic: bool) -> Outcome:
    """Compare at the size asked for and, where sizes are open, at others that the recorded network is for."""
    multiple = program.multiple if program else None
    wanted, refused = [sides], []
    if dynamic:
        multiple = multiple or 1
        wanted = [tuple(-(-side // multiple) * multiple for side in sides), *other_sizes(sides, multiple)]
    results = []
    for size in wanted:
        given = prepared(image, network.interface, network.model.data_preprocessor, size)
        result = verify_export(network, exported, np.repeat(given, batch_size, axis=0))
        if result.agrees():
            results.append(result)
        elif results and program and not program.takes(*size):
            refused.append(size)
        else:
            raise InputError(f'{exported.path.name} computes something else than the network, so it was deleted: '
                             f'{result}')
    return Outcome(multiple, results, refused)
