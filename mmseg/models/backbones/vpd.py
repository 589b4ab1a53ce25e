"""VPD: Unleashing Text-to-Image Diffusion Models for Visual Perception, https://arxiv.org/abs/2303.02153."""
from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlparse

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple
from torch import nn

from mmseg.models.utils.latent_diffusion import AutoencoderKL, CrossAttention, DiffusionWrapper, UNetModel
from mmseg.registry import MODELS
from mmseg.utils.checkpoint import read_checkpoint, weights_of
from mmseg.utils.download import cache_folder, download
from mmseg.utils.errors import CheckpointError

# Where the parts of a checkpoint of Stable Diffusion go; it holds more than these.
_PARTS = {'first_stage_model.': 'encoder_vq.', 'model.': 'unet.unet.'}


class AttentionStore:
    """Keeps the attention of a forward pass, by where in the network it was and to what it went.

    Args:
        base_size: side of the latent.
        max_size: attention of maps with larger sides is not kept; half of `base_size` where None.
    """

    def __init__(self, base_size: int = 64, max_size: int | None = None):
        self.base_size = base_size
        self.max_size = max_size or base_size // 2
        self.reset()

    @staticmethod
    def get_empty_store() -> dict[str, list[torch.Tensor]]:
        """Return a list for each of `down_cross`, `mid_cross`, `up_cross` and the same with `self`."""
        return {f'{place}_{kind}': [] for kind in ('cross', 'self') for place in ('down', 'mid', 'up')}

    def reset(self) -> None:
        """Forget everything."""
        self.step_store = self.get_empty_store()
        self.attention_store = {}

    def __call__(self, attn: torch.Tensor, is_cross: bool, place_in_unet: str) -> torch.Tensor:
        return self.forward(attn, is_cross, place_in_unet)

    def forward(self, attn: torch.Tensor, is_cross: bool, place_in_unet: str) -> torch.Tensor:
        """Keep attention (B, N, M) of a map of N places, unless that is too large; return it as it came."""
        if attn.shape[1] <= self.max_size**2:
            self.step_store[f'{place_in_unet}_{"cross" if is_cross else "self"}'].append(attn)
        return attn

    def step_callback(self, x_t: torch.Tensor) -> torch.Tensor:
        """Take note of a latent between two steps; return it as it came."""
        return x_t

    def between_steps(self) -> None:
        """Add what this step kept to the sums over all steps, and begin the next one."""
        if self.attention_store:
            self.attention_store = {key: [total + new for total, new in zip(totals, self.step_store[key])]
                                    for key, totals in self.attention_store.items()}
        else:
            self.attention_store = self.step_store
        self.step_store = self.get_empty_store()

    def get_average_attention(self) -> dict[str, list[torch.Tensor]]:
        """Return what this step has kept, each the mean over the heads."""
        return {key: list(kept) for key, kept in self.step_store.items()}


def register_attention_control(model: nn.Module, controller: AttentionStore) -> None:
    """Show a controller the attention of every layer of a denoising network.

    Args:
        model: has the network as `diffusion_model`.
        controller: called with (attention (B, N, M), whether it is to the context, `'down'`, `'mid'` or `'up'`).
    """
    places = dict(input_blocks='down', middle_block='mid', output_blocks='up')
    for part, place in places.items():
        for module in getattr(model.diffusion_model, part).modules():
            if isinstance(module, CrossAttention):
                module.register_forward_hook(partial(_show, controller=controller, place=place))


def _show(module: CrossAttention, inputs: tuple[torch.Tensor, ...], output: torch.Tensor, *,
          controller: AttentionStore, place: str) -> None:
    if inputs[0].shape[1] <= controller.max_size**2:  # else it would be computed for nothing
        controller(module.shares(*inputs), len(inputs) > 1, place)


class UNetWrapper(nn.Module):
    """A denoising network that returns its features, the finest first, each with its attention to the texts.

    Args:
        unet: the network.
        use_attn: add to the features of stride 4, 2 and 1 in the latent a channel for each text, which tells how much
            each place attends to it; of maps larger than `max_attn_size`, which have none, nothing is added.
        base_size: side of the images, or height and width.
        max_attn_size: see :class:`AttentionStore`.
        attn_selector: whose attention is averaged: names of its lists, joined by `+`.
    """

    def __init__(self, unet: DiffusionWrapper, use_attn: bool = True, base_size: int | Sequence[int] = 512,
                 max_attn_size: int | None = None, attn_selector: str = 'up_cross+down_cross'):
        super().__init__()
        self.unet = unet
        self.use_attn = use_attn
        self.init_sizes(base_size)
        self.attention_store = AttentionStore(max(self.size64), max_attn_size)
        self.attn_selector = attn_selector.split('+')
        unknown = set(self.attn_selector) - set(AttentionStore.get_empty_store())
        if unknown:
            raise ValueError(f'attn_selector {attn_selector!r} names {sorted(unknown)}: choose among '
                             f'{", ".join(AttentionStore.get_empty_store())}, joined by +')
        if use_attn:
            register_attention_control(unet, self.attention_store)

    def init_sizes(self, base_size: int | Sequence[int]) -> None:
        """Note the heights and widths of maps of stride 32, 16 and 8 of images of this size."""
        height, width = to_2tuple(base_size)
        self.size16, self.size32, self.size64 = ((height // stride, width // stride) for stride in (32, 16, 8))

    def forward(self, *args, **kwargs) -> list[torch.Tensor]:
        """Take what the network takes to features (B, C, h, w), the finest first."""
        self.attention_store.reset()
        coarsest, *features = self.unet(*args, **kwargs)
        if self.use_attn:
            features = [self._with_attention(feature) for feature in features]
        self.attention_store.reset()
        return [*reversed(features), coarsest]

    def _with_attention(self, feature: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, C + M, h, w)."""
        size = feature.shape[2:]
        kept = self.attention_store.get_average_attention()
        maps = [attention for kind in self.attn_selector for attention in kept[kind]
                if attention.shape[1] == size.numel()]
        if not maps:
            return feature
        mean = torch.stack(maps).mean(0).transpose(1, 2).unflatten(2, size)  # B (h w) M -> B M h w
        return torch.cat([feature, mean], dim=1)


class TextAdapter(nn.Module):
    """Two linear maps that change vectors of texts a little, as much as `gamma` says."""

    def __init__(self, text_dim: int = 768):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(text_dim, text_dim), nn.GELU(), nn.Linear(text_dim, text_dim))

    def forward(self, latents: torch.Tensor, texts: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
        """Latents (B, …), texts (M, C) for all of them or (B, M, C), and gamma (C,) -> texts (B, M, C)."""
        return (texts + gamma * self.fc(texts)).expand(len(latents), -1, -1)


@MODELS.register_module()
class VPD(BaseModule):
    """The denoising network of Stable Diffusion v1, looking once at an image and at texts that describe it.

    The encoder of images does not learn. :meth:`init_weights` loads the published weights and texts; a checkpoint of a
    trained VPD brings both along.

    Args:
        diffusion_cfg: the published config of the diffusion model; `checkpoint` in it is the address of its weights.
        class_embed_path: address of the vectors of the texts, (classes, C).
        unet_cfg: arguments of :class:`UNetWrapper`.
        gamma: where the influence of the text adapter starts.
        class_embed_select: describe each image by the text of its own class alone, or by the mean of all texts where
            its class is not known; otherwise all texts describe every image.
        pad_shape: size, a side or height and width, to which smaller images are padded at the bottom and right.
        pad_val: value of padded pixels.

    Attributes:
        out_channels, out_strides: of each returned feature, without attention to the texts.
    """

    def __init__(self, diffusion_cfg: dict, class_embed_path: str, unet_cfg: dict | None = None, gamma: float = 1e-4,
                 class_embed_select: bool = False, pad_shape: int | Sequence[int] | None = None,
                 pad_val: int | Sequence[int] = 0, init_cfg: dict | list | None = None):
        super().__init__(init_cfg)
        self.weights_path = diffusion_cfg.get('checkpoint')
        self.class_embed_path = class_embed_path
        self.class_embed_select = class_embed_select
        self.pad_shape = None if pad_shape is None else tuple(to_2tuple(pad_shape))
        self.pad_val = pad_val

        params = diffusion_cfg['params']
        _check_target(diffusion_cfg, 'LatentDiffusion')
        encoder = _arguments(params['first_stage_config'], 'AutoencoderKL')
        unet = _arguments(params['unet_config'], 'UNetModel')
        self.encoder_vq = AutoencoderKL(encoder['embed_dim'], encoder['ddconfig'])
        self.encoder_vq.requires_grad_(False)
        network = UNetModel(**unet)
        self.unet = UNetWrapper(DiffusionWrapper(network), **(unet_cfg or {}))
        text_dim = unet['context_dim']
        self.text_adapter = TextAdapter(text_dim)
        self.gamma = nn.Parameter(torch.full((text_dim,), gamma))
        self.register_buffer('class_embeddings', torch.zeros(0, text_dim))
        self.register_load_state_dict_pre_hook(_take_number_of_classes)

        reduction = 2**(len(encoder['ddconfig']['ch_mult']) - 1)
        self.out_strides = tuple(reduction * 2**i for i in range(len(network.out_channels)))
        if not self.unet.use_attn:
            self.out_channels = tuple(reversed(network.out_channels))

    def init_weights(self) -> None:
        """Start anew, then load the weights of Stable Diffusion, unless no address is given, and the texts.

        Raises:
            CheckpointError: they are not at hand; the message says where to put which of them.
        """
        super().init_weights()
        weights, problem = _tried(self._read_weights) if self.weights_path else ({}, None)
        texts, other_problem = _tried(partial(_read_texts, self.class_embed_path, self.text_adapter.fc[0].in_features))
        if problem or other_problem:
            missing = '; '.join(filter(None, (problem and f'the weights of Stable Diffusion v1: {problem}',
                                              other_problem and f'the vectors of the texts: {other_problem}')))
            raise CheckpointError(
                f'VPD starts training from published files, of which it misses {missing}. Where they lie elsewhere, '
                'name them: model.backbone.diffusion_cfg.checkpoint=FILE model.backbone.class_embed_path=FILE. '
                'No other package is needed; a checkpoint of a trained VPD needs neither of them')
        if self.class_embed_select:
            texts = torch.cat([texts, texts.mean(0, keepdim=True)])
        self.load_state_dict({**weights, 'class_embeddings': texts}, strict=False)

    def _read_weights(self) -> dict[str, torch.Tensor]:
        found = {}
        for key, value in weights_of(read_checkpoint(self.weights_path)).items():
            for theirs, ours in _PARTS.items():
                if key.startswith(theirs):
                    found[ours + key.removeprefix(theirs)] = value
        own = {key: value for key, value in self.state_dict().items() if key.startswith(tuple(_PARTS.values()))}
        wrong = [key for key in own if key not in found or found[key].shape != own[key].shape]
        if wrong:
            raise CheckpointError(f'{self.weights_path} lacks, or has in other shapes, {len(wrong)} of the {len(own)} '
                                  f'weights, as {wrong[0]}: it is not the checkpoint of this diffusion_cfg')
        return {key: found[key] for key in own}

    def forward(self, x: torch.Tensor | tuple[torch.Tensor, torch.Tensor]) -> list[torch.Tensor]:
        """Images (B, 3, H, W), or these and their classes (B,) -> features (B, C, H / stride, W / stride).

        Raises:
            ValueError: H and W, padded, are no multiples of the last stride.
            RuntimeError: the texts have not been loaded.
        """
        images, classes = x if isinstance(x, (tuple, list)) else (x, None)
        images = self._pad(images)
        with torch.no_grad():
            latents = self.encoder_vq(images)
        texts = self.text_adapter(latents, self._texts(classes, len(latents)), self.gamma)
        steps = torch.ones(len(latents), dtype=torch.long, device=latents.device)
        return self.unet(latents, steps, c_crossattn=[texts])

    def _pad(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[2:]
        if self.pad_shape is not None:
            images = F.pad(images, (0, max(0, self.pad_shape[1] - width), 0, max(0, self.pad_shape[0] - height)),
                           value=self.pad_val)
        if any(side % self.out_strides[-1] for side in images.shape[2:]):
            raise ValueError(f'VPD needs images whose sides are multiples of {self.out_strides[-1]}, found {height} x '
                             f'{width} with pad_shape={self.pad_shape}: crop them, or set pad_shape')
        return images

    def _texts(self, classes: torch.Tensor | None, batch: int) -> torch.Tensor:
        """Return the vectors of all texts (M, C), or of each image's own (B, 1, C)."""
        if not len(self.class_embeddings):
            raise RuntimeError('VPD has no vectors of texts yet: call init_weights(), or load a checkpoint')
        if not self.class_embed_select:
            return self.class_embeddings
        if classes is None:
            classes = torch.full((batch,), -1)  # the last one, the mean
        elif int(classes.max()) >= len(self.class_embeddings):
            raise ValueError(f'an image is of class {int(classes.max())}, and there are vectors of texts for '
                             f'{len(self.class_embeddings) - 1} classes')
        return self.class_embeddings[classes.to(self.class_embeddings.device)][:, None]


def _check_target(config: dict, wanted: str) -> None:
    if config['target'].rpartition('.')[2] != wanted:
        raise ValueError(f'VPD is made of Stable Diffusion v1, whose config has a {wanted} here: found '
                         f'target={config["target"]!r}')


def _arguments(config: dict, wanted: str) -> dict:
    _check_target(config, wanted)
    return config['params']


def _take_number_of_classes(module: VPD, state_dict: dict, prefix: str, *_) -> None:
    texts = state_dict.get(f'{prefix}class_embeddings')
    if texts is not None and texts.shape[1:] == module.class_embeddings.shape[1:]:
        module.class_embeddings = module.class_embeddings.new_zeros(texts.shape)


def _tried(read: Callable) -> tuple:
    """Return what a function reads and None, or None and why it cannot."""
    try:
        return read(), None
    except CheckpointError as error:
        return None, error


def _read_texts(address: str, text_dim: int) -> torch.Tensor:
    """Read a file that holds one tensor (classes, text_dim), by itself or in a dictionary."""
    path = Path(address).expanduser()
    if address.startswith(('http://', 'https://')):
        path = cache_folder() / Path(urlparse(address).path).name
        download(address, path)
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f'no file {path}') from None
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f'{path} cannot be read: {str(error).partition(chr(10))[0]}') from error
    if isinstance(content, dict) and len(content) == 1:
        content, = content.values()
    if not isinstance(content, torch.Tensor) or content.dim() != 2 or content.shape[1] != text_dim:
        found = tuple(content.shape) if isinstance(content, torch.Tensor) else type(content).__name__
        raise CheckpointError(f'{path} shall hold a tensor of the shape (classes, {text_dim}), found {found}')
    return content.float()
