"""What happens to an image between its file and the network."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'albu': ['Albu'],
    'biomedical': ['BioMedical3DPad', 'BioMedical3DRandomCrop', 'BioMedical3DRandomFlip', 'BioMedicalGaussianBlur',
        'BioMedicalGaussianNoise', 'BioMedicalRandomGamma', 'LoadBiomedicalAnnotation', 'LoadBiomedicalData',
        'LoadBiomedicalImageFromFile'],
    'color': ['AdjustGamma', 'CLAHE', 'PhotoMetricDistortion', 'RGB2Gray', 'Rerange'],
    'edge': ['GenerateEdge'],
    'formatting': ['PackSegInputs'],
    'geometric': ['Pad', 'RandomCrop', 'RandomFlip', 'RandomRotFlip', 'RandomRotate', 'Resize', 'ResizeShortestEdge',
        'ResizeToMultiple', 'SegRescale'],
    'loading': ['InferencerLoader', 'LoadAnnotations', 'LoadDepthAnnotation', 'LoadImageFromFile',
        'LoadImageFromNDArray'],
    'mix': ['RandomCutOut', 'RandomDepthMix', 'RandomMosaic'],
    'multi_label': ['LoadMultiLabelAnnotations', 'PackMultiLabelInputs'],
    'remote_sensing': ['ConcatCDInput', 'LoadImageFromNpyFile', 'LoadMultipleRSImageFromFile',
        'LoadSingleRSImageFromFile'],
})
