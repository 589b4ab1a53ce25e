"""TensorRT engines from ONNX files. An engine runs on the kind of GPU and the version of TensorRT that built it."""
from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch

from mmseg.export.onnx import read_notes
from mmseg.export.packages import need
from mmseg.utils.errors import InputError

# Before the engine stand this word, the length of the notes as four bytes and the notes as JSON.
MAGIC = b'mmseg-trt'


@dataclass(frozen=True)
class Sizes:
    """Heights and widths that an engine takes, and the one that it is made fastest for."""

    least: tuple[int, int]
    usual: tuple[int, int]
    most: tuple[int, int]

    def __post_init__(self):
        for axis, name in enumerate(('height', 'width')):
            if not 1 <= self.least[axis] <= self.usual[axis] <= self.most[axis]:
                raise InputError(f'the {name} {self.usual[axis]} must lie between the least, {self.least[axis]}, and '
                                 f'the largest, {self.most[axis]}: change --shape, --min-shape or --max-shape')


def require_tensorrt() -> ModuleType:
    """Return the package, where it and a GPU are there.

    Raises:
        InputError: one of them is not.
    """
    if not torch.cuda.is_available():
        raise InputError('TensorRT builds and runs engines on an NVIDIA GPU, and PyTorch finds none here; on a CPU, '
                         'run the ONNX file itself or its OpenVINO form')
    return need('tensorrt', 'building and running engines')


def build_engine(onnx_file: str | Path, path: str | Path, sizes: Sizes, *, half: bool = False,
                 workspace_gib: float = 1, verbose: bool = False) -> None:
    """Let TensorRT choose kernels for an ONNX file and write what it has chosen.

    Args:
        sizes: of the images; all three equal for a file of one size.
        half: allow float16 where it is faster.
        workspace_gib: memory that kernels may use besides their tensors.

    Raises:
        InputError: TensorRT or a GPU is missing, or the file cannot be built.
    """
    tensorrt = require_tensorrt()
    logger = tensorrt.Logger(tensorrt.Logger.VERBOSE if verbose else tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_file)):
        reasons = '; '.join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise InputError(f'TensorRT cannot read {onnx_file}: {reasons}')
    config = builder.create_builder_config()
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, int(workspace_gib * 2**30))
    if half:
        _allow_half(tensorrt, config)
    entry = network.get_input(0)
    if -1 in tuple(entry.shape):
        profile = builder.create_optimization_profile()
        profile.set_shape(entry.name, *(_with_sides(tuple(entry.shape), sides)
                                        for sides in (sizes.least, sizes.usual, sizes.most)))
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise InputError(f'TensorRT cannot build an engine of {onnx_file}: --verbose shows what it says')
    notes = json.dumps(read_notes(onnx_file)).encode()
    Path(path).write_bytes(MAGIC + struct.pack('<I', len(notes)) + notes + bytes(engine))


def _allow_half(tensorrt: ModuleType, config) -> None:
    if not hasattr(tensorrt.BuilderFlag, 'FP16'):
        raise InputError(f'TensorRT {tensorrt.__version__} takes the types of the ONNX file as they are and cannot be '
                         'told to use float16: leave --fp16 out, or take TensorRT 10')
    config.set_flag(tensorrt.BuilderFlag.FP16)


def _with_sides(shape: tuple[int, ...], sides: tuple[int, int]) -> tuple[int, ...]:
    given = iter(sides)
    return tuple(next(given) if side == -1 else side for side in shape)


def split_engine(content: bytes) -> tuple[dict, bytes]:
    """Return the notes of a file and the engine; files of another origin have none."""
    if not content.startswith(MAGIC):
        return {}, content
    start = len(MAGIC) + 4
    length, = struct.unpack('<I', content[len(MAGIC):start])
    return json.loads(content[start:start + length]), content[start + length:]
