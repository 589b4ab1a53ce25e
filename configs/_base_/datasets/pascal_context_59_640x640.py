# PASCAL Context for SAN. The crops to train on stay at 480 x 480, as published: the model pads them to 640 x 640.
_base_ = './pascal_context_59.py'
crop_size = (640, 640)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeShortestEdge', scale=crop_size, max_size=2560),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs')
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
