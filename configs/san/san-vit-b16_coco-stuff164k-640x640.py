_base_ = [
    '../_base_/models/san_vit-b16.py',
    '../_base_/datasets/coco-stuff164k_640x640.py',
    '../_base_/schedules/schedule_60k_san.py',
    '../_base_/default_runtime.py'
]
checkpoint = 'https://download.openmmlab.com/mmsegmentation/v0.5/san/clip_vit-base-patch16-224_3rdparty-d08f8887.pth'
model = dict(pretrained=checkpoint, text_encoder=dict(dataset_name='coco-stuff164k'))
train_dataloader = dict(batch_size=8)
