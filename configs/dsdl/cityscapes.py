# Cityscapes as the DSDL edition of OpenDataLab describes it
_base_ = [
    '../_base_/models/deeplabv3_r50-d8.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/schedule_40k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(data_preprocessor=data_preprocessor)
dataset_type = 'DSDLSegDataset'
data_root = 'data/CityScapes'
img_prefix = 'raw/CityScapes'
train_ann = 'dsdl/dsdl_SemSeg_full/set-train/train.yaml'
val_ann = 'dsdl/dsdl_SemSeg_full/set-val/val.yaml'
used_labels = [
    'road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic_light', 'traffic_sign', 'vegetation', 'terrain',
    'sky', 'person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle'
]
dsdl_data = dict(
    type=dataset_type,
    data_root=data_root,
    data_prefix=dict(img_path=img_prefix, seg_map_path=img_prefix),
    used_labels=used_labels)
train_dataloader = dict(dataset=dict(dsdl_data, ann_file=train_ann))
val_dataloader = dict(dataset=dict(dsdl_data, ann_file=val_ann))
test_dataloader = val_dataloader
