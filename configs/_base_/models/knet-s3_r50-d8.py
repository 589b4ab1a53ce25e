# K-Net, https://arxiv.org/abs/2106.14855: three rounds of kernel updates refine the prediction of an ordinary head.
# Each variant adds the type of that head as `kernel_generate_head`.
_base_ = './resnet50-d8.py'
num_stages = 3
conv_kernel_size = 1
model = dict(
    decode_head=dict(
        _delete_=True,
        type='IterativeDecodeHead',
        num_stages=num_stages,
        kernel_update_head=[
            dict(
                type='KernelUpdateHead',
                num_classes=150,
                num_ffn_fcs=2,
                num_heads=8,
                num_mask_fcs=1,
                feedforward_channels=2048,
                in_channels=512,
                out_channels=512,
                dropout=0.0,
                conv_kernel_size=conv_kernel_size,
                ffn_act_cfg=dict(type='ReLU', inplace=True),
                with_ffn=True,
                feat_transform_cfg=dict(conv_cfg=dict(type='Conv2d'), act_cfg=None),
                kernel_updator_cfg=dict(
                    type='KernelUpdator',
                    in_channels=256,
                    feat_channels=256,
                    out_channels=256,
                    act_cfg=dict(type='ReLU', inplace=True),
                    norm_cfg=dict(type='LN'))) for _ in range(num_stages)
        ],
        kernel_generate_head=dict(_base_.model.decode_head, num_classes=150)),
    auxiliary_head=dict(num_classes=150))
