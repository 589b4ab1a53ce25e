# ISPRS Vaihingen, cut as Potsdam is: 344 tiles to train on, 398 to validate
_base_ = './potsdam.py'
dataset_type = 'ISPRSDataset'
data_root = 'data/vaihingen'
train_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
val_dataloader = dict(dataset=dict(type=dataset_type, data_root=data_root))
test_dataloader = val_dataloader
