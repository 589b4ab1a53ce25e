"""What happens to an image between its file and the network."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'formatting': ['PackSegInputs'],
    'loading': ['InferencerLoader', 'LoadAnnotations', 'LoadBiomedicalAnnotation', 'LoadBiomedicalData',
        'LoadBiomedicalImageFromFile', 'LoadDepthAnnotation', 'LoadImageFromNDArray',
        'LoadMultipleRSImageFromFile', 'LoadSingleRSImageFromFile'],
    'transforms': ['AdjustGamma', 'Albu', 'BioMedical3DPad', 'BioMedical3DRandomCrop', 'BioMedical3DRandomFlip',
        'BioMedicalGaussianBlur', 'BioMedicalGaussianNoise', 'BioMedicalRandomGamma', 'CLAHE', 'ConcatCDInput',
        'GenerateEdge', 'PhotoMetricDistortion', 'RGB2Gray', 'RandomCrop', 'RandomCutOut', 'RandomDepthMix',
        'RandomFlip', 'RandomMosaic', 'RandomRotFlip', 'RandomRotate', 'Rerange', 'Resize', 'ResizeShortestEdge',
        'ResizeToMultiple', 'SegRescale'],
})
