# BDD100K: 7000 images of 1280 x 720 to train on, 1000 to validate; the classes of Cityscapes, and prepared alike
_base_ = './cityscapes.py'
dataset_type = 'BDD100KDataset'
data_root = 'data/bdd100k/'
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/10k/train', seg_map_path='labels/sem_seg/masks/train')))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path='images/10k/val', seg_map_path='labels/sem_seg/masks/val')))
test_dataloader = val_dataloader
