"""ONNX files, by PyTorch's exporter of recorded graphs."""
from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

from mmseg.export.packages import need
from mmseg.export.program import Program, quiet
from mmseg.utils.errors import InputError

# The exporter writes 18 and later; an older one is what ONNX's converter makes of that, where it can.
OLDEST_OPSET = 7
INPUT, OUTPUT, NOTES = 'image', 'output', 'mmseg'


def check_opset(opset: int | None) -> None:
    """Refuse op sets that cannot be written or read here, before any work is done."""
    if opset is None:
        return
    newest = need('onnx', 'ONNX').defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise InputError(f'--opset-version {opset} cannot be written: give one from {OLDEST_OPSET} to {newest}')


def save_onnx(program: Program, path: str | Path, notes: dict, opset: int | None = None) -> None:
    """Write a recorded network; heights and widths that it leaves open are called so.

    Weights of more than 2 GB go into a second file, `PATH.data`.

    Args:
        notes: what is kept in the file as JSON, see :func:`mmseg.export.export.notes_of`.
        opset: version of ONNX's operators; the exporter's choice where None.

    Raises:
        InputError: the exporter cannot write it.
    """
    need('onnx', 'ONNX')
    need('onnxscript', 'writing ONNX')
    import torch
    check_opset(opset)
    try:
        with quiet(), contextlib.redirect_stdout(io.StringIO()):
            made = torch.onnx.export(program.graph, dynamo=True, verbose=False, opset_version=opset,
                                     input_names=[INPUT], output_names=[OUTPUT])
            if program.multiple is not None:
                axes = (1, 2) if notes['interface']['takes_image'] else (2, 3)
                _name_axes(made, axes)
            made.model.metadata_props[NOTES] = json.dumps(notes)
            made.save(str(path))
    except torch.onnx.errors.OnnxExporterError as error:
        while error.__cause__ is not None:
            error = error.__cause__
        raise InputError(f'PyTorch cannot write this network as ONNX: {str(error).splitlines()[0]}') from error
    _check_op_set_written(path, opset)


def _name_axes(made, axes: tuple[int, int]) -> None:
    shape = made.model.graph.inputs[0].shape
    names = {str(shape[axis]): name for axis, name in zip(axes, ('height', 'width'))}
    made.rename_axes(names)


def _check_op_set_written(path: str | Path, opset: int | None) -> None:
    """The exporter keeps its own op set, without an error, where it cannot convert to another."""
    if opset is None:
        return
    import onnx
    written = {entry.domain: entry.version for entry in onnx.load(str(path), load_external_data=False).opset_import}
    if written.get('') != opset:
        Path(path).unlink()
        raise InputError(f'this network cannot be written with --opset-version {opset}, but it can with '
                         f'{written.get("")}')


def read_notes(path: str | Path) -> dict:
    """Return what :func:`save_onnx` noted in a file; nothing for files of another origin."""
    import onnx
    model = onnx.load(str(path), load_external_data=False)
    return json.loads({entry.key: entry.value for entry in model.metadata_props}.get(NOTES, '{}'))
