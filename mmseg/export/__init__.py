"""Networks as files that run without this library: ONNX, OpenVINO, TensorRT, TorchScript and `torch.export`."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'backends': ['open_exported'],
    'export': ['export_model'],
    'network': ['ExportNetwork', 'Interface'],
    'segmentor': ['ExportedSegmentor'],
    'verify': ['verify_export'],
})
