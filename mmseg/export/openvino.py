"""OpenVINO's own files (.xml, with the weights beside it as .bin), from ONNX files."""
from __future__ import annotations

import json
from pathlib import Path

from mmseg.export.onnx import read_notes
from mmseg.export.packages import need
from mmseg.utils.errors import InputError

NOTES = 'mmseg'


def save_openvino(onnx_file: str | Path, path: str | Path) -> None:
    """Convert an ONNX file; weights stay float32, and the notes go along.

    Raises:
        InputError: OpenVINO cannot convert it.
    """
    openvino = need('openvino', 'OpenVINO')
    need('onnx', 'reading an ONNX file')
    try:
        model = openvino.convert_model(str(onnx_file))
    except Exception as error:
        raise InputError(f'OpenVINO cannot convert {onnx_file}: {str(error).strip().splitlines()[-1]}') from error
    notes = read_notes(onnx_file)
    if notes:
        model.set_rt_info(json.dumps(notes), NOTES)
    openvino.save_model(model, str(path), compress_to_fp16=False)
