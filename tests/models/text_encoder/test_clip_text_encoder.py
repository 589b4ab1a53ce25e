"""CLIP's text encoder: golden figures, the mean over sentences, and vectors that outlive the process."""
import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg.models.text_encoder import CLIPTextEncoder, QuickGELU, clip_text_encoder
from mmseg.registry import MODELS
from mmseg.utils.errors import InputError
from tests.golden import facts, fill

WORDS = ['a', 'photo', 'of', 'this', 'is', 'there', 'the', 'in', 'scene', 'small', 'medium', 'large', '.', 'cat', 'dog',
         'bird']
TINY = dict(total_vocab_size=len(WORDS) + 3, context_length=12, embed_dims=8, num_layers=2, num_heads=2,
            output_dims=6)


class WordTokenizer:
    """Gives each known word the id that a table says; start and end are the last two ids."""

    def __init__(self, ids, size):
        self.ids, self.vocab_size, self.calls = ids, size, 0

    def __call__(self, texts, context_length):
        self.calls += 1
        rows = torch.zeros(len(texts), context_length, dtype=torch.long)
        for row, text in zip(rows, texts):
            words = text.lower().replace('.', ' .').split()
            ids = [self.vocab_size - 2, *(self.ids[word] for word in words), self.vocab_size - 1]
            row[:len(ids)] = torch.tensor(ids)
        return rows


@pytest.fixture
def tokenizer(monkeypatch):
    words = WordTokenizer({word: i + 1 for i, word in enumerate(WORDS)}, TINY['total_vocab_size'])
    monkeypatch.setattr(clip_text_encoder, 'clip_tokenizer', lambda path: words)
    return words


@pytest.fixture
def encoder(tokenizer, tmp_path):
    def make(**options):
        torch.manual_seed(0)
        return fill(CLIPTextEncoder(**{**TINY, 'vocabulary': ['cat', 'dog'], 'cache_dir': tmp_path, **options}))
    return make


def test_quick_gelu():
    x = torch.linspace(-4, 4, 9)
    torch.testing.assert_close(QuickGELU()(x), x / (1 + (-1.702 * x).exp()))
    assert isinstance(MODELS.build(dict(type='QuickGELU')), QuickGELU)


@torch.no_grad()
def test_hidden_states_and_vectors_are_those_of_1x(monkeypatch, tmp_path):
    fact = facts('san.json')['text']
    monkeypatch.setattr(clip_text_encoder, 'clip_tokenizer', lambda path: WordTokenizer(fact['ids'], 49408))
    network = nn.Module()
    network.text_encoder = encoder = CLIPTextEncoder(
        vocabulary=[row['name'] for row in fact['vectors']], norm_cfg=dict(type='LN', eps=1e-5), cache_dir=tmp_path)
    fill(network)
    seen = {}

    def keep_first(name):
        def hook(module, args, out):
            seen.setdefault(name, out)
        return hook

    for name, module in encoder.named_modules():
        module.register_forward_hook(keep_first(name))
    vectors = encoder()
    for row in fact['hidden']:  # "a photo of a", before any class
        assert abs(float(seen[row['module']][0, row['position'], row['channel']]) - row['value']) < 1e-5, row
    for i, row in enumerate(fact['vectors']):
        assert abs(float(vectors[i, row['channel']]) - row['value']) < 2e-7, row
    torch.testing.assert_close(vectors.norm(dim=1), torch.full((len(vectors),), fact['length']))


@torch.no_grad()
def test_nothing_behind_the_end_counts(encoder):
    text = encoder(templates=['a {}'])
    short = torch.tensor([[17, 1, 14, 18, 0, 0, 0]])
    torch.testing.assert_close(text.encode_text(short), text.encode_text(F.pad(short, (0, 5))))
    long = torch.tensor([[17, 1, 14, 18, 0, 0, 0], [17, 1, 14, 3, 3, 3, 18]])
    torch.testing.assert_close(text.encode_text(long)[:1], text.encode_text(short))
    assert text.encode_text(short, normalize=True).norm() == pytest.approx(1)
    mask = text.build_attention_mask()
    assert mask.shape == (12, 12) and mask[3, 3] == 0 == mask[3, 0] and mask[3, 4] == float('-inf')


@torch.no_grad()
def test_the_mean_over_sentences(encoder):
    both = encoder(templates=['a photo of a {}.', 'There is a {} in the scene'], vocabulary=['bird', 'dog'])
    first, second = (encoder(templates=[template]).template_encode(['bird', 'dog']) for template in both.templates)
    vectors = both()
    scale = both.logit_scale.exp()
    torch.testing.assert_close(vectors[:2], scale * F.normalize(first + second, dim=1))
    torch.testing.assert_close(vectors[2:], scale * F.normalize(both.bg_embed, dim=1))
    assert encoder(cat_bg=False)().shape == (2, 6) and not hasattr(encoder(cat_bg=False), 'bg_embed')


@pytest.mark.parametrize('dataset, count, first', [
    ('voc', 20, 'aeroplane'), ('PascalVOCDataset', 20, 'aeroplane'), ('coco-stuff164k', 171, 'person'),
    ('pascal_context', 59, 'aeroplane'), ('loveda', 7, 'background'), ('ade', 150, 'wall')])
def test_classes_of_a_data_set(dataset, count, first):
    with torch.device('meta'):
        encoder = CLIPTextEncoder(dataset, **TINY)
    assert len(encoder.vocabulary) == count and encoder.vocabulary[0] == first and len(encoder.templates) == 14


def test_names_come_before_the_data_set(encoder, tokenizer):
    assert encoder(dataset_name='voc').vocabulary == ('cat', 'dog')
    with pytest.raises(InputError, match='the text encoder has no classes: give dataset_name'):
        encoder(vocabulary=None)()
    tokenizer.vocab_size = 49408
    with pytest.raises(InputError, match='the tokenizer has 49408 tokens, but total_vocab_size=19'):
        encoder()()


# ---------------------------------------------------------------------------------------------- kept vectors

@torch.no_grad()
def test_vectors_are_computed_once(encoder, tokenizer, tmp_path):
    first = encoder()
    wanted = first()
    assert tokenizer.calls == 14
    torch.testing.assert_close(first(), wanted, rtol=0, atol=0)
    assert tokenizer.calls == 14
    again = encoder()
    again.template_encode = None  # a second start needs no tokenizer
    torch.testing.assert_close(again(), wanted, rtol=0, atol=0)
    file, = tmp_path.glob('*.pth')
    assert torch.load(file)['vocabulary'] == ('cat', 'dog')
    encoder(cache_feature=False)()
    assert tokenizer.calls == 28


@torch.no_grad()
@pytest.mark.parametrize('change', [
    dict(vocabulary=['cat', 'bird']), dict(templates=['a {}']), dict(context_length=11), dict(bpe_path='other'),
    dict(num_heads=4), 'a weight'])
def test_other_classes_sentences_or_weights_have_vectors_of_their_own(encoder, tmp_path, change):
    first = encoder()()
    other = encoder(**({} if change == 'a weight' else change))
    if change == 'a weight':
        other.ln_final.bias += 1
    assert change in (dict(bpe_path='other'), dict(context_length=11)) or not torch.allclose(other()[:2], first[:2])
    other()
    assert len(list(tmp_path.glob('*.pth'))) == 2


@torch.no_grad()
def test_new_weights_or_names_are_noticed(encoder):
    model, other = encoder(), encoder()
    before = model()
    other.text_projection.mul_(torch.linspace(-1, 2, 6))
    model.load_state_dict(other.state_dict())
    assert not torch.allclose(model(), before)
    torch.testing.assert_close(model(), other())
    first = model()
    model.vocabulary = ['bird', 'cat', 'dog']
    torch.testing.assert_close(model()[1:], first)
    model.templates = ['a {}']
    assert not torch.allclose(model()[1:3], first[:2])
    assert not any('_vectors' in key for key in model.state_dict())
    with torch.no_grad():
        half = copy.deepcopy(model).bfloat16()()
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), model(), rtol=0.02, atol=0.02)


def test_an_encoder_can_be_pickled(encoder):
    model = encoder()
    torch.testing.assert_close(pickle.loads(pickle.dumps(model))(), model())


@torch.no_grad()
def test_a_damaged_file_is_written_anew(encoder, tmp_path, tokenizer):
    wanted = encoder()()
    file, = tmp_path.glob('*.pth')
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    torch.testing.assert_close(encoder()(), wanted, rtol=0, atol=0)
    assert file.read_bytes() == whole and tokenizer.calls == 28
    torch.save(dict(vectors=torch.ones(3, 6)), file)  # of other sizes
    torch.testing.assert_close(encoder()(), wanted, rtol=0, atol=0)


@torch.no_grad()
def test_where_nothing_can_be_written(encoder, tmp_path):
    (tmp_path / 'file').write_text('')
    assert encoder(cache_dir=tmp_path / 'file' / 'folder')().shape == (3, 6)


@torch.no_grad()
def test_autocast_does_not_reach_what_is_kept(encoder):
    wanted = encoder(cache_dir=None, cache_feature=False)()
    with torch.autocast('cpu', torch.bfloat16):
        found = encoder()()
    torch.testing.assert_close(found, wanted)


# ---------------------------------------------------------------------------------------------- learning

def test_only_the_background_learns(encoder):
    model = encoder()
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == ['bg_embed']
    model().square().sum().backward()
    model()[:, 0].sum().backward()
    assert model.bg_embed.grad.abs().sum() > 0


def test_init_weights(encoder):
    model = encoder(embed_dims=64, output_dims=64)
    before = model()
    model.init_weights()
    assert model.token_embedding.weight.std() == pytest.approx(.02, rel=.1)
    assert model.positional_embedding.std() == pytest.approx(.01, rel=.1)
    assert model.text_projection.std() == pytest.approx(1 / 8, rel=.1)
    attn = model.transformer[0].attentions[0].attn
    assert attn.in_proj_weight.std() == pytest.approx(1 / 8, rel=.1)
    assert attn.out_proj.weight.std() == pytest.approx((2 * 64 * 2)**-.5, rel=.1)
    assert attn.in_proj_bias.eq(0).all() and model.ln_final.weight.min() > .4
    assert not torch.allclose(model(), before)
