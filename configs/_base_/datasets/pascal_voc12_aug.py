# PASCAL VOC 2012 with the annotations of the Semantic Boundaries Dataset besides: 10582 images to train on
_base_ = './pascal_voc12.py'
dataset_train = _base_.train_dataloader.dataset
dataset_aug = dict(
    dataset_train,
    ann_file='ImageSets/Segmentation/aug.txt',
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'))
train_dataloader = dict(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[dataset_train, dataset_aug]))
