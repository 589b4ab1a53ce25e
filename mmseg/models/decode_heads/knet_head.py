"""K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule, build_activation_layer, build_norm_layer
from mmengine.model import BaseModule
from torch import nn

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils.attention import FFN, MultiheadAttention
from mmseg.ops import resize
from mmseg.registry import MODELS
from mmseg.utils.typing_utils import SampleList

_LN = dict(type='LN')
_RELU = dict(type='ReLU', inplace=True)
_KERNEL_UPDATOR = dict(type='DynamicConv', in_channels=256, feat_channels=64, out_channels=256, act_cfg=_RELU,
                       norm_cfg=_LN)


@MODELS.register_module()
class KernelUpdator(nn.Module):
    """Mix the kernel of each class with the feature that its mask gathered, by gates that depend on both.

    Args:
        in_channels: of the gathered features; wider ones are taken as several.
        feat_channels: of the kernels, and of what is mixed.
        out_channels: of the result; `in_channels` where None.
        gate_sigmoid: squash the gates.
        gate_norm_act: normalise and activate what the gates are made of.
        activate_out: activate both before they are mixed.
    """

    def __init__(self, in_channels: int = 256, feat_channels: int = 64, out_channels: int | None = None,
                 gate_sigmoid: bool = True, gate_norm_act: bool = False, activate_out: bool = False,
                 norm_cfg: dict = _LN, act_cfg: dict = _RELU):
        super().__init__()
        self.in_channels = in_channels
        self.feat_channels = feat_channels
        self.out_channels = out_channels or in_channels
        self.gate_sigmoid = gate_sigmoid
        self.gate_norm_act = gate_norm_act
        self.activate_out = activate_out

        def norm(channels: int) -> nn.Module:
            return build_norm_layer(norm_cfg, channels)[1]

        self.dynamic_layer = nn.Linear(in_channels, 2 * feat_channels)
        self.input_layer = nn.Linear(in_channels, 2 * feat_channels)
        self.input_gate = nn.Linear(in_channels, feat_channels)
        self.update_gate = nn.Linear(in_channels, feat_channels)
        if gate_norm_act:
            self.gate_norm = norm(feat_channels)
        self.norm_in, self.norm_out = norm(feat_channels), norm(feat_channels)
        self.input_norm_in, self.input_norm_out = norm(feat_channels), norm(feat_channels)
        self.activation = build_activation_layer(act_cfg)
        self.fc_layer = nn.Linear(feat_channels, self.out_channels)
        self.fc_norm = norm(self.out_channels)

    def forward(self, update_feature: torch.Tensor, input_feature: torch.Tensor) -> torch.Tensor:
        """Gathered features (B, N, C) and kernels (B, N, K K, C) -> (M, K K, out_channels), M = B N C / in_channels."""
        gathered = update_feature.reshape(-1, self.in_channels)
        kernels = input_feature.reshape(len(gathered), -1, self.feat_channels)
        gathered_in, gathered_out = self.dynamic_layer(gathered).chunk(2, dim=-1)
        kernels_in, kernels_out = self.input_layer(kernels).chunk(2, dim=-1)

        both = kernels_in * gathered_in[:, None]
        if self.gate_norm_act:
            both = self.activation(self.gate_norm(both))
        keep, take = self.input_norm_in(self.input_gate(both)), self.norm_in(self.update_gate(both))
        if self.gate_sigmoid:
            keep, take = keep.sigmoid(), take.sigmoid()
        gathered_out, kernels_out = self.norm_out(gathered_out), self.input_norm_out(kernels_out)
        if self.activate_out:
            gathered_out, kernels_out = self.activation(gathered_out), self.activation(kernels_out)
        mixed = take * gathered_out[:, None] + keep * kernels_out
        return self.activation(self.fc_norm(self.fc_layer(mixed)))


@MODELS.register_module()
class KernelUpdateHead(nn.Module):
    """One round of K-Net: gather features by the masks, update the kernels, and make new masks of them.

    Args:
        num_classes: the number of kernels.
        num_ffn_fcs, feedforward_channels, ffn_act_cfg: of the feed-forward layer; `with_ffn` turns it on.
        num_heads: of the attention of kernels to each other.
        num_mask_fcs: linear layers from a kernel to its mask's kernel.
        in_channels, out_channels: of the feature and of a mask's kernel.
        dropout: of attention and feed-forward layer.
        conv_kernel_size: side K of the kernels.
        feat_transform_cfg: arguments of mmcv's `ConvModule` for the feature; None leaves it.
        kernel_init: start the masks' kernels from a normal distribution of 0.01.
        feat_gather_stride: stride of that convolution.
        mask_transform_stride: 2 makes masks of half the size, and enlarges them.
        kernel_updator_cfg: config of :class:`KernelUpdator`.
    """

    def __init__(self, num_classes: int = 150, num_ffn_fcs: int = 2, num_heads: int = 8, num_mask_fcs: int = 3,
                 feedforward_channels: int = 2048, in_channels: int = 256, out_channels: int = 256,
                 dropout: float = 0., act_cfg: dict = _RELU, ffn_act_cfg: dict = _RELU, conv_kernel_size: int = 1,
                 feat_transform_cfg: dict | None = None, kernel_init: bool = False, with_ffn: bool = True,
                 feat_gather_stride: int = 1, mask_transform_stride: int = 1,
                 kernel_updator_cfg: dict = _KERNEL_UPDATOR):
        super().__init__()
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.conv_kernel_size = conv_kernel_size
        self.kernel_init = kernel_init
        self.with_ffn = with_ffn
        self.feat_gather_stride = feat_gather_stride
        self.mask_transform_stride = mask_transform_stride

        flat = in_channels * conv_kernel_size**2
        self.attention = MultiheadAttention(flat, num_heads, dropout, batch_first=False)
        self.attention_norm = build_norm_layer(_LN, flat)[1]
        self.kernel_update_conv = MODELS.build(kernel_updator_cfg)
        self.feat_transform = None
        if feat_transform_cfg is not None:
            options = dict(feat_transform_cfg)
            self.feat_transform = ConvModule(in_channels, in_channels, options.pop('kernel_size', 1),
                                             stride=feat_gather_stride, padding=feat_gather_stride // 2, **options)
        if with_ffn:
            self.ffn = FFN(in_channels, feedforward_channels, num_ffn_fcs, ffn_act_cfg, dropout)
            self.ffn_norm = build_norm_layer(_LN, in_channels)[1]
        self.mask_fcs = nn.ModuleList()
        for _ in range(num_mask_fcs):
            self.mask_fcs.extend([nn.Linear(in_channels, in_channels, bias=False),
                                  build_norm_layer(_LN, in_channels)[1], build_activation_layer(act_cfg)])
        self.fc_mask = nn.Linear(in_channels, out_channels)

    def init_weights(self) -> None:
        """Draw every matrix from Xavier's uniform distribution."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        if self.kernel_init:
            nn.init.normal_(self.fc_mask.weight, std=0.01)

    def forward(self, x: torch.Tensor, proposal_feat: torch.Tensor, mask_preds: torch.Tensor,
                mask_shape: Sequence[int] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Improve masks and kernels.

        Args:
            x: the feature, (B, C, H, W).
            proposal_feat: the kernels, (B, N, C, K, K).
            mask_preds: logits of the masks, (B, N, h, w).
            mask_shape: the size that the new masks shall have; that of the feature where None.

        Returns:
            Logits of the new masks, (B, N, H, W), and the new kernels, (B, N, C, K, K).
        """
        batch, count = proposal_feat.shape[:2]
        if self.feat_transform is not None:
            x = self.feat_transform(x)
        masks = _resize(mask_preds, x.shape[2:]).softmax(dim=1)
        gathered = torch.einsum('bnhw,bchw->bnc', masks, x)
        kernels = proposal_feat.flatten(3).transpose(2, 3)  # B N C K K -> B N (K K) C

        kernels = self.kernel_update_conv(gathered, kernels).reshape(batch, count, -1).transpose(0, 1)  # N B (K K C)
        kernels = self.attention_norm(self.attention(kernels)).transpose(0, 1)
        kernels = kernels.reshape(batch, count, -1, self.in_channels)  # B N (K K) C
        if self.with_ffn:
            kernels = self.ffn_norm(self.ffn(kernels))
        masks = self._masks(x, kernels)
        return _resize(masks, mask_shape or x.shape[2:]), self._square(kernels)

    def _masks(self, x: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """Convolve the feature of each image with its own kernels: (B, C, H, W) and (B, N, K K, C) -> (B, N, H, W)."""
        for layer in self.mask_fcs:
            kernels = layer(kernels)
        kernels = self._square(self.fc_mask(kernels))
        if self.mask_transform_stride == 2 and self.feat_gather_stride == 1:
            x = resize(x, [side // 2 for side in x.shape[2:]], mode='bilinear', align_corners=False)
        if self.conv_kernel_size == 1:
            return torch.einsum('bchw,bnc->bnhw', x, kernels.flatten(2))
        pairs = zip(x.split(1), kernels.unbind())
        return torch.cat([nn.functional.conv2d(image, weight, padding=self.conv_kernel_size // 2)
                          for image, weight in pairs])

    def _square(self, kernels: torch.Tensor) -> torch.Tensor:
        """B N (K K) C -> B N C K K."""
        return kernels.transpose(2, 3).unflatten(3, (self.conv_kernel_size, self.conv_kernel_size))


def _resize(masks: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    return resize(masks, tuple(size), mode='bilinear', align_corners=False)


@MODELS.register_module()
class IterativeDecodeHead(BaseDecodeHead):
    """A decode head whose classifier is the first set of kernels, and rounds of updates of them.

    Every stage learns from the labels; the last one predicts.

    Args:
        num_stages: the number of rounds.
        kernel_generate_head: config of a decode head that gives the feature and the first logits; its losses, sampler
            and number of classes hold for all stages.
        kernel_update_head: a config of :class:`KernelUpdateHead` for each round.
    """

    def __init__(self, num_stages: int, kernel_generate_head: dict, kernel_update_head: Sequence[dict], **kwargs):
        BaseModule.__init__(self, **kwargs)  # the head inside has what a decode head has
        if num_stages != len(kernel_update_head):
            raise ValueError(f'num_stages={num_stages} needs as many kernel_update_head, found '
                             f'{len(kernel_update_head)}')
        self.num_stages = num_stages
        self.kernel_generate_head = first = MODELS.build(kernel_generate_head)
        self.kernel_update_head = nn.ModuleList(MODELS.build(stage) for stage in kernel_update_head)
        for i, stage in enumerate(self.kernel_update_head):
            if (stage.num_classes, stage.in_channels) != (first.num_classes, first.channels):
                raise ValueError(
                    f'stage {i} of kernel_update_head has num_classes={stage.num_classes} and in_channels='
                    f'{stage.in_channels}: they must be num_classes={first.num_classes} and channels={first.channels} '
                    'of kernel_generate_head')
        self.num_classes, self.out_channels, self.threshold = first.num_classes, first.out_channels, first.threshold
        self.in_channels, self.channels, self.in_index = first.in_channels, first.channels, first.in_index
        self.input_transform = first.input_transform
        self.align_corners = first.align_corners
        self.ignore_index = first.ignore_index

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        """Features of the backbone -> logits (B, num_classes, h, w) of the last stage; in training, of each stage."""
        feature = self.kernel_generate_head._forward_feature(inputs)
        logits = [self.kernel_generate_head.cls_seg(feature)]
        kernels = self.kernel_generate_head.conv_seg.weight.expand(len(feature), -1, -1, -1, -1)
        for stage in self.kernel_update_head:
            masks, kernels = stage(feature, kernels, logits[-1])
            logits.append(masks)
        return logits if self.training else logits[-1]

    def loss_by_feat(self, seg_logits: list[torch.Tensor], batch_data_samples: SampleList, **kwargs) -> dict:
        """Return each loss and the accuracy of stage i by its name and `.s{i}`."""
        losses = {}
        for i, logits in enumerate(seg_logits):
            stage = self.kernel_generate_head.loss_by_feat(logits, batch_data_samples)
            losses.update({f'{name}.s{i}': value for name, value in stage.items()})
        return losses
