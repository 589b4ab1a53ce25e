"""CLIP's byte-pair encoding, on a small vocabulary made here: the real one is no part of the library."""
import builtins
import gzip

import pytest
import torch

from mmseg.utils.errors import InputError
from mmseg.utils.tokenizer import (
    END,
    MOST_MERGES,
    START,
    VOCABULARY,
    HFTokenizer,
    SimpleTokenizer,
    basic_clean,
    clip_tokenizer,
    decode,
    get_pairs,
    read_merges,
    tokenize,
    vocabulary_file,
    whitespace_clean,
)

MERGES = ['c a', 'ca t</w>', 'a t</w>', 'x y', 'p h', 'o t', 'ph ot', 'phot o</w>', 'ca r']
FIRST_MERGE = 512
# Ids of single characters: printable ASCII first, from '!'; the same again at the end of a word.
IN_WORD, AT_END = -ord('!'), 256 - ord('!')


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / VOCABULARY
    path.write_bytes(gzip.compress('\n'.join(['"a heading"', *MERGES, '']).encode()))
    return path


@pytest.fixture
def tokenizer(vocabulary):
    return SimpleTokenizer(vocabulary)


@pytest.mark.parametrize('text, ids', [
    ('cat', [FIRST_MERGE + 1]), ('CAT', [FIRST_MERGE + 1]), ('  a \n cat ', [ord('a') + AT_END, FIRST_MERGE + 1]),
    ('cats', [FIRST_MERGE, ord('t') + IN_WORD, ord('s') + AT_END]), ('photo', [FIRST_MERGE + 7]),
    ('car', [FIRST_MERGE, ord('r') + AT_END]), ('cards', [FIRST_MERGE + 8, ord('d') + IN_WORD, ord('s') + AT_END]),
    ("cat's", [FIRST_MERGE + 1, ord("'") + IN_WORD, ord('s') + AT_END]),
    ('a12.', [ord('a') + AT_END, ord('1') + AT_END, ord('2') + AT_END, ord('.') + AT_END]),
    ('cat &amp;amp; photo', [FIRST_MERGE + 1, ord('&') + AT_END, FIRST_MERGE + 7]), ('', [])])
def test_encode(tokenizer, text, ids):
    assert tokenizer.encode(text) == ids


def test_the_most_frequent_pair_is_merged_first(tokenizer):
    assert tokenizer.bpe('cat') == 'cat</w>'  # 'c a' comes before 'a t</w>'
    assert tokenizer.bpe('bat') == 'b at</w>'
    assert tokenizer.bpe('caca') == 'ca c a</w>'  # only an 'a' within the word merges
    assert get_pairs('cac') == {('c', 'a'), ('a', 'c')} and get_pairs(['c']) == set()


def test_other_letters_are_bytes(tokenizer):
    ids = tokenizer.encode('Ünï')
    assert tokenizer.decode(ids) == 'ünï ' and len(ids) == 5
    assert tokenizer.encode('naïve') != tokenizer.encode('naive')
    assert tokenizer.decode(tokenizer.encode('猫 ٣٤')) == '猫 ٣ ٤ '


def test_decode(tokenizer):
    assert tokenizer.decode(torch.tensor([FIRST_MERGE + 1, FIRST_MERGE, ord('r') + AT_END])) == 'cat car '
    assert tokenizer.decode(tokenizer.all_special_ids) == START + END


def test_a_batch_is_framed_filled_and_cut(tokenizer):
    start, end = tokenizer.all_special_ids
    assert (start, end) == (FIRST_MERGE + len(MERGES), FIRST_MERGE + len(MERGES) + 1) == (521, tokenizer.vocab_size - 1)
    cat = FIRST_MERGE + 1
    assert tokenizer(['cat', 'cat cat cat cat'], 5).tolist() == [[start, cat, end, 0, 0], [start, cat, cat, cat, end]]
    assert tokenizer('cat').shape == (1, 77)


def test_special_tokens_stay_whole(vocabulary):
    tokenizer = SimpleTokenizer(vocabulary, special_tokens=['<mask>'])
    assert tokenizer.encode('cat <mask>') == [FIRST_MERGE + 1, tokenizer.vocab_size - 1]
    assert tokenizer.encode(START) == [FIRST_MERGE + len(MERGES)]


def test_clean():
    assert basic_clean(' &lt;b&gt; &amp;lt; ') == '<b> <'
    assert basic_clean('schÃ¶n') == 'schön'
    assert whitespace_clean(' a\t b \n') == 'a b'


# ------------------------------------------------------------------------------------------------------------- the file

def test_where_the_vocabulary_lies(vocabulary, tmp_path, monkeypatch):
    monkeypatch.setenv('MMSEG_OFFLINE', '1')
    monkeypatch.setenv('MMSEG_CACHE', str(tmp_path / 'downloads'))
    with pytest.raises(InputError, match=rf'github\.com/\S+/{VOCABULARY} on a machine with a network and put it at '
                                         rf'{tmp_path}/downloads/{VOCABULARY}'):
        vocabulary_file()
    (tmp_path / 'downloads').mkdir()
    kept = vocabulary.rename(tmp_path / 'downloads' / VOCABULARY)
    assert vocabulary_file() == kept
    named = tmp_path / 'mine.txt'
    named.write_text('\n'.join(['heading', *MERGES]))
    monkeypatch.setenv('CLIP_BPE_PATH', str(named))
    assert vocabulary_file() == named and vocabulary_file(kept) == kept
    assert read_merges(named) == read_merges(kept) and read_merges(named)[1] == ('ca', 't</w>')
    with pytest.raises(InputError, match=r'bpe_path names \S+elsewhere as the vocabulary of CLIP'):
        vocabulary_file(tmp_path / 'elsewhere')


def test_the_functions_use_that_file(vocabulary, monkeypatch):
    monkeypatch.setenv('CLIP_BPE_PATH', str(vocabulary))
    clip_tokenizer.cache_clear()
    ids = tokenize(['cat'], context_length=4)
    assert ids.tolist() == [[521, FIRST_MERGE + 1, 522, 0]] and decode(ids[0, :3]) == f'{START}cat {END}'
    clip_tokenizer.cache_clear()


def test_no_more_merges_than_clip_has(tmp_path):
    file = tmp_path / 'long.txt'
    file.write_text('heading\n' + 'a b\n' * (MOST_MERGES + 100))
    assert len(read_merges(file)) == MOST_MERGES == 49408 - 2 * 256 - 2


@pytest.mark.parametrize('content, problem', [
    (b'heading\na b\na b c\n', "each line holds two symbols, found 'a b c'"), (b'heading\n', "found 'nothing'"),
    (gzip.compress(b'heading\na b\n', mtime=0)[:-9], 'fetch it again'), (b'\xff\xfe\x00', 'fetch it again')])
def test_a_damaged_vocabulary(tmp_path, content, problem):
    (tmp_path / 'bad').write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_merges(tmp_path / 'bad')


# --------------------------------------------------------------------------------------------------- optional packages

@pytest.mark.parametrize('package', ['ftfy', 'regex', 'transformers'])
def test_a_package_is_asked_for_only_where_it_is_needed(tokenizer, monkeypatch, package):
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition('.')[0] == package:
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr('builtins.__import__', without)
    monkeypatch.setattr('mmseg.utils.tokenizer.import_module', without)
    assert tokenizer.encode('cat') == [FIRST_MERGE + 1]
    with pytest.raises(InputError, match=f'pip install {package}'):
        HFTokenizer('gpt2') if package == 'transformers' else tokenizer.encode('zoë')
