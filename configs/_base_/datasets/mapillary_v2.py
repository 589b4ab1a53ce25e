# Mapillary Vistas 2.0: the same images, 124 classes
_base_ = './mapillary_v1.py'
dataset_type = 'MapillaryDataset_v2'
train_dataloader = dict(
    dataset=dict(type=dataset_type, data_prefix=dict(seg_map_path='training/v2.0/labels')))
val_dataloader = dict(
    dataset=dict(type=dataset_type, data_prefix=dict(seg_map_path='validation/v2.0/labels')))
test_dataloader = val_dataloader
