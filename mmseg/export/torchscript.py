"""TorchScript files and files of `torch.export`: graphs that PyTorch runs without the code that they came from."""
from __future__ import annotations

import json
from pathlib import Path

import torch

from mmseg.export.network import ExportNetwork
from mmseg.export.program import Program, quiet
from mmseg.export.replacements import Exportable
from mmseg.utils.errors import InputError

NOTES = 'mmseg.json'


def save_torchscript(network: ExportNetwork, example: torch.Tensor, path: str | Path, notes: dict) -> None:
    """Trace a network with an image and write it."""
    traced = trace(network, example)
    with quiet():
        torch.jit.save(traced, str(path), _extra_files={NOTES: json.dumps(notes)})


def trace(network: ExportNetwork, example: torch.Tensor) -> torch.jit.ScriptModule:
    """Trace a network with an image.

    Raises:
        InputError: PyTorch cannot trace it.
    """
    try:
        with torch.no_grad(), quiet():
            return torch.jit.trace(Exportable(network), example, check_trace=False)
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(f'PyTorch cannot trace this network: {str(error).strip().splitlines()[0]}') from error


def save_program(program: Program, path: str | Path, notes: dict) -> None:
    """Write a recorded network as PyTorch keeps it (.pt2)."""
    with quiet():
        torch.export.save(program.graph, str(path), extra_files={NOTES: json.dumps(notes)})
