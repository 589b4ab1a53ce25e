# PASCAL VOC 2012 as the DSDL edition of OpenDataLab describes it
_base_ = [
    '../_base_/models/deeplabv3_r50-d8.py',
    '../_base_/datasets/pascal_voc12.py',
    '../_base_/schedules/schedule_20k.py',
    '../_base_/default_runtime.py'
]
data_preprocessor = dict(size=_base_.crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    decode_head=dict(num_classes=21),
    auxiliary_head=dict(num_classes=21))
dataset_type = 'DSDLSegDataset'
data_root = 'data/PASCAL_VOC2012'
img_prefix = 'raw/VOCdevkit/VOC2012'
train_ann = 'dsdl/dsdl_SemSeg_full/set-train/train.yaml'
val_ann = 'dsdl/dsdl_SemSeg_full/set-val/val.yaml'
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'Pad']
dsdl_data = dict(
    type=dataset_type,
    data_root=data_root,
    data_prefix=dict(img_path=img_prefix, seg_map_path=img_prefix))
train_dataloader = dict(dataset=dict(dsdl_data, ann_file=train_ann, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(dsdl_data, ann_file=val_ann))
test_dataloader = val_dataloader
