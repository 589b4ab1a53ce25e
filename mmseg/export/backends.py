"""Exported files of every kind behind one interface: an array in, an array out."""
from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch

from mmseg.export.network import Interface
from mmseg.export.packages import need
from mmseg.utils.errors import InputError


class Exported(ABC):
    """An exported network, ready to run.

    Args:
        path: the file.
        device: `'cpu'`, `'cuda'`, `'cuda:1'` …

    Attributes:
        notes: what was noted at the export: `interface`, `classes`, `config` …; empty for files of another origin.
        shape: of the input, None where it is open; None as a whole where the file does not tell.
    """

    name: str
    suffixes: tuple[str, ...]

    def __init__(self, path: str | Path, device: str = 'cpu'):
        self.path, self.device = Path(path), device
        self.notes: dict = {}
        self.shape: tuple[int | None, ...] | None = None
        try:
            self._open()
        except InputError:
            raise
        except Exception as error:
            raise InputError(f'{path} is no {self.name} model that can be opened: {_first_line(error)}') from error
        if self.shape is None and 'shape' in self.notes:
            self.shape = tuple(self.notes['shape'])

    @property
    def interface(self) -> Interface:
        """What the file takes and gives; files of another origin take what a data preprocessor gives."""
        return Interface.from_dict(self.notes.get('interface', {}))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Run the network: uint8 (N, H, W, bands) or float32 (N, bands, H, W) -> labels or logits.

        Raises:
            InputError: the file is not for images of this shape.
        """
        if self.shape and (len(self.shape) != image.ndim
                           or any(side not in (None, found) for side, found in zip(self.shape, image.shape))):
            wanted = ' x '.join('any' if side is None else str(side) for side in self.shape)
            raise InputError(f'{self.path.name} takes {wanted}, found {" x ".join(map(str, image.shape))}: resize the '
                             'image, or export with --dynamic-export or another --shape')
        multiple = self.notes.get('multiple', 1)
        sides = image.shape[1:3] if self.interface.takes_image else image.shape[2:4]
        if any(side % multiple for side in sides):
            raise InputError(f'{self.path.name} takes sides that are multiples of {multiple}, found {sides[0]} x '
                             f'{sides[1]}: resize the image, or set size_divisor={multiple} in test_cfg of the '
                             'data_preprocessor')
        try:
            return self._run(np.ascontiguousarray(image))
        except Exception as error:
            raise InputError(f'{self.path.name} cannot label an image of {" x ".join(map(str, image.shape))}: '
                             f'{_first_line(error)}') from error

    @abstractmethod
    def _open(self) -> None:
        """Read the file; set `notes` and, where it tells, `shape`."""

    @abstractmethod
    def _run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on an image that fits."""


class OnnxRuntime(Exported):
    """An ONNX file, run by ONNX Runtime."""

    name, suffixes = 'ONNX', ('.onnx',)

    def _open(self) -> None:
        runtime = need('onnxruntime', 'running an ONNX file')
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what fails is raised, too
        kinds = ['CPUExecutionProvider']
        if self.device.startswith('cuda'):
            kinds = [('CUDAExecutionProvider', dict(device_id=torch.device(self.device).index or 0)), *kinds]
        self._session = runtime.InferenceSession(str(self.path), options, providers=kinds)
        self.notes = json.loads(self._session.get_modelmeta().custom_metadata_map.get('mmseg', '{}'))
        entry, *others = self._session.get_inputs()
        if others:
            raise InputError(f'{self.path} takes {1 + len(others)} inputs: expected one, the image')
        self._input = entry.name
        self.shape = tuple(side if isinstance(side, int) else None for side in entry.shape)

    def _run(self, image: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input: image})[0]


class OpenVINO(Exported):
    """An OpenVINO file, or an ONNX file, run by OpenVINO on the CPU in float32."""

    name, suffixes = 'OpenVINO', ('.xml',)

    def _open(self) -> None:
        openvino = need('openvino', 'running this file')
        core = openvino.Core()
        threads = dict(INFERENCE_NUM_THREADS=torch.get_num_threads())
        model = core.read_model(str(self.path))
        if model.has_rt_info('mmseg'):
            self.notes = json.loads(model.get_rt_info('mmseg').astype(str))
        self._model = core.compile_model(model, 'CPU', dict(INFERENCE_PRECISION_HINT='f32', **threads))
        self.shape = tuple(side.get_length() if side.is_static else None
                           for side in self._model.input(0).get_partial_shape())

    def _run(self, image: np.ndarray) -> np.ndarray:
        return self._model(image)[0]


class TorchScript(Exported):
    """A TorchScript file, run by PyTorch."""

    name, suffixes = 'TorchScript', ('.pt', '.ts', '.torchscript')

    def _open(self) -> None:
        files = {'mmseg.json': ''}
        self._module = torch.jit.load(str(self.path), map_location=self.device, _extra_files=files)
        self.notes = json.loads(files['mmseg.json'] or '{}')

    @torch.no_grad()
    def _run(self, image: np.ndarray) -> np.ndarray:
        return self._module(torch.from_numpy(image).to(self.device)).cpu().numpy()


class TorchExport(Exported):
    """A file of `torch.export`, run by PyTorch."""

    name, suffixes = 'torch.export', ('.pt2',)

    def _open(self) -> None:
        files = {'mmseg.json': ''}
        self._module = torch.export.load(str(self.path), extra_files=files).module(check_guards=False).to(self.device)
        self.notes = json.loads(files['mmseg.json'] or '{}')

    @torch.no_grad()
    def _run(self, image: np.ndarray) -> np.ndarray:
        return self._module(torch.from_numpy(image).to(self.device)).cpu().numpy()


class TensorRT(Exported):
    """A TensorRT engine, run on the GPU."""

    name, suffixes = 'TensorRT', ('.engine', '.trt', '.plan')

    def _open(self) -> None:
        from mmseg.export.tensorrt import require_tensorrt, split_engine
        tensorrt = require_tensorrt()
        self.notes, content = split_engine(self.path.read_bytes())
        self._engine = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR)).deserialize_cuda_engine(content)
        if self._engine is None:
            raise InputError(f'{self.path} is no engine of this version of TensorRT ({tensorrt.__version__}) for this '
                             'GPU: build it here, from the ONNX file')
        self._context = self._engine.create_execution_context()
        self._types = {tensorrt.DataType.FLOAT: torch.float32, tensorrt.DataType.HALF: torch.float16,
                       tensorrt.DataType.UINT8: torch.uint8, tensorrt.DataType.INT32: torch.int32,
                       tensorrt.DataType.INT64: torch.int64}
        self._input, self._output = (self._engine.get_tensor_name(i) for i in range(2))
        self.shape = tuple(None if side == -1 else side for side in self._engine.get_tensor_shape(self._input))
        self.device = self.device if self.device.startswith('cuda') else 'cuda:0'

    def _run(self, image: np.ndarray) -> np.ndarray:
        given = torch.from_numpy(image).to(self.device)
        self._context.set_input_shape(self._input, tuple(given.shape))
        made = torch.empty(tuple(self._context.get_tensor_shape(self._output)), device=self.device,
                           dtype=self._types[self._engine.get_tensor_dtype(self._output)])
        self._context.set_tensor_address(self._input, given.data_ptr())
        self._context.set_tensor_address(self._output, made.data_ptr())
        stream = torch.cuda.current_stream(self.device)
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise RuntimeError('the engine did not run')
        return made.cpu().numpy()


BACKENDS = {'onnxruntime': OnnxRuntime, 'openvino': OpenVINO, 'tensorrt': TensorRT, 'torchscript': TorchScript,
            'torch-export': TorchExport}


def open_exported(path: str | Path, backend: str | None = None, device: str = 'cpu') -> Exported:
    """Open an exported file.

    Args:
        backend: what shall run it, a key of `BACKENDS`; as its suffix says where None.

    Raises:
        InputError: it is not there, is no such file, or cannot be run here.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'no file {str(path)!r}: give the model that was exported')
    if backend is None:
        backend = next((name for name, kind in BACKENDS.items() if path.suffix in kind.suffixes), None)
        if backend is None:
            known = ', '.join(suffix for kind in BACKENDS.values() for suffix in kind.suffixes)
            raise InputError(f'what {path.name} is cannot be told from its suffix {path.suffix!r}, which is none of '
                             f'{known}: name the backend, one of {", ".join(BACKENDS)}')
    if backend not in BACKENDS:
        raise InputError(f'the backend {backend!r} is not known: there are {", ".join(BACKENDS)}')
    return BACKENDS[backend](path, device)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
