"""Small things that every part uses."""
from mmseg.utils.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {
    'class_names': ['dataset_aliases', 'ade_classes', 'ade_palette', 'bdd100k_classes', 'bdd100k_palette',
        'cityscapes_classes',
        'cityscapes_palette', 'cocostuff_classes', 'cocostuff_palette', 'get_classes', 'get_palette',
        'isaid_classes', 'isaid_palette', 'loveda_classes', 'loveda_palette', 'potsdam_classes', 'potsdam_palette',
        'stare_classes', 'stare_palette', 'synapse_classes', 'synapse_palette', 'vaihingen_classes',
        'vaihingen_palette', 'voc_classes', 'voc_palette'],
    'collect_env': ['collect_env'],
    'get_templates': ['get_predefined_templates'],
    'io': ['datafrombytes'],
    'mask_classification': ['MatchMasks', 'seg_data_to_instance_data'],
    'misc': ['add_prefix', 'stack_batch'],
    'set_env': ['register_all_modules'],
    'tokenizer': ['tokenize'],
    'typing_utils': ['ConfigType', 'ForwardResults', 'MultiConfig', 'OptConfigType', 'OptMultiConfig', 'OptSampleList',
        'SampleList', 'TensorDict', 'TensorList'],
})
