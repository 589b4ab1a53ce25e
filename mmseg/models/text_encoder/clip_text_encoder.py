"""The text encoder of CLIP, https://arxiv.org/abs/2103.00020: a vector for the name of each class."""
from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.logging import print_log
from mmengine.model import BaseModule, ModuleList
from torch import nn

from mmseg.models.utils.san_layers import PreNormLayer
from mmseg.registry import MODELS
from mmseg.utils import get_classes
from mmseg.utils.atomic import replace_file
from mmseg.utils.checkpoint import load_safely
from mmseg.utils.download import cache_folder
from mmseg.utils.errors import CheckpointError, InputError
from mmseg.utils.get_templates import get_predefined_templates
from mmseg.utils.tokenizer import clip_tokenizer

_LN = dict(type='LN')
_QUICK_GELU = dict(type='QuickGELU')
_BACKGROUND = 'background'


@MODELS.register_module()
class QuickGELU(nn.Module):
    """CLIP's approximation of the GELU: x times the sigmoid of 1.702 x."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


@MODELS.register_module()
class CLIPTextEncoder(BaseModule):
    """A vector for each class: the mean over many sentences about it, of length `logit_scale`.

    CLIP stays frozen; what learns is the vector of everything that is no class. The vectors of the classes are computed
    once and kept, in memory and in a file, so that a later start needs neither the tokenizer nor its vocabulary. They
    are computed anew for other weights, names (`encoder.vocabulary = [...]`) or sentences.

    Args:
        dataset_name: data set whose classes are meant, such as `'coco-stuff164k'`; of `'voc'` all but the background.
        vocabulary: names of classes in place of those.
        templates: name of a set of sentences, see :func:`mmseg.utils.get_templates.get_predefined_templates`, or a list
            of sentences with `{}` for the class.
        total_vocab_size: number of tokens.
        context_length: tokens of the longest sentence.
        embed_dims: channels of the tokens.
        num_layers, num_heads: of the transformer.
        mlp_ratio: channels inside its feed-forward layers for each of the outer ones.
        output_dims: channels of the vectors.
        cache_feature: whether the vectors are kept.
        cat_bg: add, as the last one, a learned vector of what is no class.
        bpe_path: file of CLIP's vocabulary; :func:`mmseg.utils.tokenizer.vocabulary_file` says where else it may lie.
        cache_dir: folder of the files that keep vectors; `text_embeddings` in the folder of downloads where None.
    """

    def __init__(self, dataset_name: str | None = None, vocabulary: Sequence[str] | None = None,
                 templates: str | Sequence[str] = 'vild', total_vocab_size: int = 49408, context_length: int = 77,
                 embed_dims: int = 512, num_layers: int = 12, num_heads: int = 8, mlp_ratio: int = 4,
                 output_dims: int = 512, cache_feature: bool = True, cat_bg: bool = True, norm_cfg: dict = _LN,
                 init_cfg: dict | None = None, bpe_path: str | None = None, cache_dir: str | None = None):
        super().__init__(init_cfg)
        self.register_buffer('_vectors', None, persistent=False)
        self.register_load_state_dict_post_hook(_forget_vectors)
        self.dataset_name = dataset_name
        self.vocabulary = _classes_of(dataset_name) if vocabulary is None else vocabulary
        self.templates = get_predefined_templates(templates) if isinstance(templates, str) else templates
        self.total_vocab_size, self.context_length = total_vocab_size, context_length
        self.cache_feature, self.cat_bg = cache_feature, cat_bg
        self.bpe_path, self.cache_dir = bpe_path, cache_dir

        self.token_embedding = nn.Embedding(total_vocab_size, embed_dims)
        self.positional_embedding = nn.Parameter(torch.zeros(context_length, embed_dims))
        self.transformer = ModuleList(
            PreNormLayer(embed_dims, num_heads, mlp_ratio, act_cfg=_QUICK_GELU, norm_cfg=norm_cfg)
            for _ in range(num_layers))
        self.ln_final = build_norm_layer(norm_cfg, embed_dims)[1]
        self.text_projection = nn.Parameter(torch.zeros(embed_dims, output_dims))
        self.logit_scale = nn.Parameter(torch.full((), math.log(1 / 0.07)))
        self.requires_grad_(False)
        if cat_bg:
            self.bg_embed = nn.Parameter(torch.zeros(1, output_dims))

    def init_weights(self) -> None:
        """Load what `init_cfg` names, or start anew as CLIP does."""
        width, depth = self.positional_embedding.shape[1], len(self.transformer)
        nn.init.normal_(self.token_embedding.weight, std=.02)
        nn.init.normal_(self.positional_embedding, std=.01)
        nn.init.normal_(self.text_projection, std=width**-.5)
        if self.cat_bg:
            nn.init.normal_(self.bg_embed, std=self.bg_embed.shape[1]**-.5)
        for layer in self.transformer:
            attn, (first, second) = layer.attentions[0].attn, (layer.ffns[0].layers[0][0], layer.ffns[0].layers[1])
            for weight, std in ((attn.in_proj_weight, width**-.5), (first.weight, (2 * width)**-.5),
                                (attn.out_proj.weight, (2 * width * depth)**-.5),
                                (second.weight, (2 * width * depth)**-.5)):
                nn.init.normal_(weight, std=std)
            for bias in (attn.in_proj_bias, attn.out_proj.bias, first.bias, second.bias):
                nn.init.zeros_(bias)
        super().init_weights()
        _forget_vectors(self)

    def build_attention_mask(self) -> torch.Tensor:
        """What is added to the products so that no token sees a later one: (context_length, context_length)."""
        size = (self.context_length, self.context_length)
        return torch.full(size, float('-inf'), device=self.positional_embedding.device).triu_(1)

    def encode_text(self, text: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """Take token ids (N, context_length) to vectors (N, output_dims), of length 1 with `normalize`.

        A sentence ends at its largest id; as no token sees a later one, nothing behind the last end is computed.
        """
        ends = text.argmax(dim=1)
        length = int(ends.max()) + 1
        x = self.token_embedding(text[:, :length]) + self.positional_embedding[:length]  # N L C
        mask = self.build_attention_mask()[:length, :length]
        for layer in self.transformer:
            x = layer(x, mask)
        x = self.ln_final(x)[torch.arange(len(x), device=x.device), ends] @ self.text_projection
        return F.normalize(x, dim=-1) if normalize else x

    def template_encode(self, vocabulary: Sequence[str]) -> torch.Tensor:
        """Return the mean vector of the sentences about each name, of length 1: (len(vocabulary), output_dims)."""
        tokenizer = clip_tokenizer(self.bpe_path)
        if tokenizer.vocab_size != self.total_vocab_size:
            raise InputError(f'the vocabulary of the tokenizer has {tokenizer.vocab_size} tokens, but '
                             f'total_vocab_size={self.total_vocab_size}: they have to be the same')
        total = 0
        for template in self.templates:
            text = tokenizer([template.format(name) for name in vocabulary], self.context_length)
            total = total + self.encode_text(text.to(self.positional_embedding.device), normalize=True)
        return F.normalize(total, dim=-1)

    def forward(self) -> torch.Tensor:
        """Return the vectors of the classes and, with `cat_bg`, of what is none: (classes (+ 1), output_dims)."""
        if not self.cache_feature:
            vectors = self.template_encode(self._named())
        else:
            vectors = self._remember() if self._vectors is None else self._vectors
        if self.cat_bg:
            vectors = torch.cat([vectors, F.normalize(self.bg_embed, dim=-1)])
        return self.logit_scale.exp() * vectors

    # ------------------------------------------------------------------------------------------ vectors that are kept

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self._vocabulary

    @vocabulary.setter
    def vocabulary(self, names: Sequence[str]) -> None:
        self._vocabulary = tuple(names)
        _forget_vectors(self)

    @property
    def templates(self) -> tuple[str, ...]:
        return self._templates

    @templates.setter
    def templates(self, sentences: Sequence[str]) -> None:
        self._templates = tuple(sentences)
        _forget_vectors(self)

    def _named(self) -> tuple[str, ...]:
        if not self.vocabulary:
            raise InputError('the text encoder has no classes: give dataset_name, such as "coco-stuff164k", or a list '
                             'of names as vocabulary')
        return self.vocabulary

    @torch.compiler.disable
    @torch.no_grad()
    def _remember(self) -> torch.Tensor:
        """Take the vectors of the classes from their file, else compute them, and keep them."""
        weight, file = self.positional_embedding, self._file()
        vectors = self._read(file)
        if vectors is None:
            with torch.autocast(weight.device.type, enabled=False):
                vectors = self.template_encode(self._named())
            self._write(vectors.cpu(), file)
        self._vectors = vectors.to(weight)
        return self._vectors

    def _file(self) -> Path:
        """Where the vectors are kept: the name depends on the classes, the sentences and all weights of CLIP."""
        made_from = dict(vocabulary=self._named(), templates=self.templates, context_length=self.context_length,
                         bpe_path=self.bpe_path, heads=[layer.attentions[0].num_heads for layer in self.transformer])
        digest = hashlib.blake2b(json.dumps(made_from).encode(), digest_size=16)
        for key, value in sorted(self.state_dict().items()):
            if key not in ('bg_embed', 'logit_scale'):
                content = value.detach().cpu().contiguous().view(torch.uint8).numpy()
                digest.update(f'{key} {value.dtype} {tuple(value.shape)}'.encode())
                digest.update(content)
        folder = Path(self.cache_dir or cache_folder() / 'text_embeddings').expanduser()
        return folder / f'{self.dataset_name or "vocabulary"}-{digest.hexdigest()}.pth'

    def _read(self, file: Path) -> torch.Tensor | None:
        if not file.is_file():
            return None
        shape = (len(self.vocabulary), self.text_projection.shape[1])
        try:
            vectors = load_safely(str(file), str(file)).get('vectors')
        except CheckpointError as error:
            print_log(f'{error}; the classes are encoded anew', logger='current', level=logging.WARNING)
            return None
        return vectors if isinstance(vectors, torch.Tensor) and tuple(vectors.shape) == shape else None

    def _write(self, vectors: torch.Tensor, file: Path) -> None:
        content = dict(vectors=vectors, vocabulary=self.vocabulary, templates=self.templates)
        try:
            os.makedirs(file.parent, exist_ok=True)
            replace_file(file, lambda stream: torch.save(content, stream))
        except OSError as error:
            print_log(f'the encoded classes are not kept for the next start: {error}; another folder can be given as '
                      'cache_dir of the text encoder', logger='current', level=logging.WARNING)


def _forget_vectors(encoder: CLIPTextEncoder, *_) -> None:
    """Drop the vectors that are kept in memory, since they are not those of the encoder any more."""
    encoder._vectors = None


def _classes_of(dataset_name: str | None) -> list[str]:
    """The classes of a data set; the background of VOC is everything that is none of the others."""
    if dataset_name is None:
        return []
    classes = get_classes(dataset_name)
    return classes[1:] if classes == get_classes('voc') and classes[0] == _BACKGROUND else classes
