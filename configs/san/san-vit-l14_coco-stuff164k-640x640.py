_base_ = [
    '../_base_/models/san_vit-l14.py',
    '../_base_/datasets/coco-stuff164k_640x640.py',
    '../_base_/schedules/schedule_60k_san.py',
    '../_base_/default_runtime.py'
]
checkpoint = 'https://download.openmmlab.com/mmsegmentation/v0.5/san/clip_vit-large-patch14-336_3rdparty-0b5df9cb.pth'
model = dict(pretrained=checkpoint, text_encoder=dict(dataset_name='coco-stuff164k'))
