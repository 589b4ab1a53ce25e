"""Text as the token ids of CLIP, https://arxiv.org/abs/2103.00020, by byte-pair encoding of lower-case words.

The vocabulary is a file of its own, `bpe_simple_vocab_16e6.txt.gz`: see :func:`vocabulary_file` for where it may lie.
Text beyond ASCII needs the packages ftfy and regex.
"""
from __future__ import annotations

import functools
import gzip
import html
import os
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch

from mmseg.utils.download import cache_folder, download
from mmseg.utils.errors import InputError

VOCABULARY = 'bpe_simple_vocab_16e6.txt.gz'
VOCABULARY_URL = f'https://github.com/openai/CLIP/raw/main/clip/{VOCABULARY}'
VOCABULARY_VARIABLE = 'CLIP_BPE_PATH'
MOST_MERGES = 48894  # of CLIP's 49408 tokens; its file lists more

START, END = '<start_of_text>', '<end_of_text>'
_WORD_END = '</w>'
# Clitics, runs of letters, single digits, runs of anything else that is no space.
_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[{letters}]+|[{digits}]|[^\s{letters}{digits}]+"


def vocabulary_file(path: str | os.PathLike | None = None) -> Path:
    """Find CLIP's vocabulary, or download it into the folder of downloads, see :mod:`mmseg.utils.download`.

    It is sought at `path`; else at the path in the environment variable `CLIP_BPE_PATH`; else beside this module, where
    1.x had it; else in that folder.

    Raises:
        InputError: it is not where it should be, or cannot be downloaded; the message says where to put it.
    """
    for given, source in ((path, 'bpe_path'), (os.environ.get(VOCABULARY_VARIABLE), VOCABULARY_VARIABLE)):
        if given:
            file = Path(given).expanduser()
            if not file.is_file():
                raise InputError(f'{source} names {file} as the vocabulary of CLIP, and there is no such file')
            return file
    beside = Path(__file__).with_name(VOCABULARY)
    if beside.is_file():
        return beside
    file = cache_folder() / VOCABULARY
    download(VOCABULARY_URL, file)
    return file


def read_merges(file: str | os.PathLike) -> list[tuple[str, str]]:
    """Read the pairs of symbols that are merged, the most frequent first, below a line of heading."""
    with open(file, 'rb') as stream:
        content = stream.read()
    try:
        if content.startswith(b'\x1f\x8b'):
            content = gzip.decompress(content)
        lines = content.decode().splitlines()[1:MOST_MERGES + 1]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f'{file} cannot be read as the vocabulary of CLIP ({error}): fetch it again from '
                         f'{VOCABULARY_URL}') from error
    merges = [tuple(line.split()) for line in lines if line.strip()]
    wrong = next((merge for merge in merges if len(merge) != 2), None)
    if wrong or not merges:
        raise InputError(f'{file} is not a vocabulary of CLIP: below its heading each line holds two symbols, found '
                         f'{" ".join(wrong) if wrong else "nothing"!r}')
    return merges


def _wanted_for(text: str, package: str) -> ModuleType:
    try:
        return import_module(package)
    except ImportError:
        raise InputError(f'{text!r} is not plain ASCII, and to tokenize such text takes the package {package}: '
                         f'pip install {package}') from None


def get_pairs(word: Sequence[str]) -> set[tuple[str, str]]:
    """Return the pairs of neighbours in a sequence of symbols."""
    return set(zip(word, word[1:]))


def basic_clean(text: str) -> str:
    """Mend wrongly decoded characters and HTML entities, escaped once or twice."""
    if not text.isascii():
        text = _wanted_for(text, 'ftfy').fix_text(text)
    return html.unescape(html.unescape(text)).strip()


def whitespace_clean(text: str) -> str:
    """Leave one space wherever there is any white space, and none at the ends."""
    return ' '.join(text.split())


@functools.cache
def _byte_characters() -> dict[int, str]:
    """A visible character for each byte, in the order of CLIP's token ids."""
    visible = [*range(ord('!'), ord('~') + 1), *range(ord('¡'), ord('¬') + 1), *range(ord('®'), ord('ÿ') + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    characters = {byte: chr(byte) for byte in visible}
    characters.update((byte, chr(256 + i)) for i, byte in enumerate(hidden))
    return characters


def _joined(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Replace every occurrence of a pair, from left to right, by one symbol."""
    out = []
    for symbol in symbols:
        # A symbol that was joined just now is longer than a part of the pair, so it does not join again.
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return out


class SimpleTokenizer:
    """Byte-pair encoding of CLIP.

    Args:
        bpe_path: the file of merges, see :func:`vocabulary_file`.
        special_tokens: more tokens, beside the start and the end of a text, that are never taken apart.
    """

    def __init__(self, bpe_path: str | os.PathLike | None = None, special_tokens: Sequence[str] | None = None):
        merges = read_merges(vocabulary_file(bpe_path))
        self.special_tokens = [START, END, *(special_tokens or ())]
        alphabet = list(_byte_characters().values())
        tokens = [*alphabet, *(character + _WORD_END for character in alphabet), *map(''.join, merges),
                  *self.special_tokens]
        self.encoder = {token: i for i, token in enumerate(tokens)}
        self.decoder = dict(enumerate(tokens))
        self.bpe_ranks = {merge: rank for rank, merge in enumerate(merges)}
        self.vocab_size = len(tokens)
        self.all_special_ids = [self.encoder[token] for token in self.special_tokens]
        self._words: dict[str, str] = {}

    def _pieces(self, text: str) -> list[str]:
        """Split clean text into special tokens, words, digits and punctuation."""
        special = '|'.join(map(re.escape, self.special_tokens))
        engine, letters, digits = re, 'a-z', '0-9'
        if not text.isascii():
            engine, letters, digits = _wanted_for(text, 'regex'), r'\p{L}', r'\p{N}'
        return engine.findall(f'{special}|{_PIECES.format(letters=letters, digits=digits)}', text, engine.IGNORECASE)

    def bpe(self, token: str) -> str:
        """Merge the characters of a word as far as the vocabulary allows: `'cats'` -> `'cat s</w>'`."""
        if token in self.special_tokens:
            return token
        if token not in self._words:
            symbols = [*token[:-1], token[-1] + _WORD_END]
            while len(symbols) > 1:
                pair = min(get_pairs(symbols), key=lambda pair: self.bpe_ranks.get(pair, MOST_MERGES))
                if pair not in self.bpe_ranks:
                    break
                symbols = _joined(symbols, pair)
            self._words[token] = ' '.join(symbols)
        return self._words[token]

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, without those of its start and end."""
        characters = _byte_characters()
        ids = []
        for piece in self._pieces(whitespace_clean(basic_clean(text)).lower()):
            if piece not in self.special_tokens:
                piece = ''.join(characters[byte] for byte in piece.encode())
            ids += [self.encoder[symbol] for symbol in self.bpe(piece).split(' ')]
        return ids

    def decode(self, tokens: Sequence[int] | torch.Tensor) -> str:
        """Return the text of token ids; every word is followed by a space."""
        bytes_of = {character: byte for byte, character in _byte_characters().items()}
        words = ''.join(self.decoder[int(token)] for token in tokens).replace(_WORD_END, ' ')
        return b''.join(bytes([bytes_of[c]]) if c in bytes_of else c.encode() for c in words).decode(errors='replace')

    def __call__(self, texts: str | Sequence[str], context_length: int = 77) -> torch.LongTensor:
        """Return the ids of each text between those of start and end, filled up with zeros: (N, context_length).

        A text that is too long loses its last words.
        """
        texts = [texts] if isinstance(texts, str) else texts
        result = torch.zeros(len(texts), context_length, dtype=torch.long)
        start, end = self.all_special_ids[:2]
        for row, text in zip(result, texts):
            ids = [start, *self.encode(text)[:context_length - 2], end]
            row[:len(ids)] = torch.tensor(ids)
        return result


@functools.lru_cache(maxsize=2)
def clip_tokenizer(bpe_path: str | None = None) -> SimpleTokenizer:
    """The tokenizer of a vocabulary file, read once."""
    return SimpleTokenizer(bpe_path)


def decode(output_ids: torch.Tensor) -> str:
    """Return the text of CLIP's token ids (N,)."""
    return clip_tokenizer().decode(output_ids.tolist())


def tokenize(texts: str | list[str], context_length: int = 77) -> torch.LongTensor:
    """Return CLIP's token ids of one text or several, (N, context_length), zeros behind the end of each."""
    return clip_tokenizer()(texts, context_length)


class HFTokenizer:
    """A tokenizer of Hugging Face's transformers by its name, in place of CLIP's own."""

    def __init__(self, tokenizer_name: str):
        try:
            from transformers import AutoTokenizer
        except ImportError:
            raise InputError(f'the tokenizer {tokenizer_name!r} takes the package transformers: '
                             'pip install transformers') from None
        self.tokenizer = AutoTokenizer.from_pretrained(tokenizer_name)

    def save_pretrained(self, dest: str | os.PathLike) -> None:
        """Write the tokenizer's files into a folder."""
        self.tokenizer.save_pretrained(dest)

    def __call__(self, texts: str | Sequence[str], context_length: int = 77) -> torch.Tensor:
        """Return the ids of each text, (N, context_length)."""
        texts = [texts] if isinstance(texts, str) else texts
        clean = [whitespace_clean(basic_clean(text)) for text in texts]
        return self.tokenizer(clean, return_tensors='pt', max_length=context_length, padding='max_length',
                              truncation=True).input_ids
