"""Converted weights are all that the target has, in its shapes, or nothing is written."""
import pickle

import numpy as np
import pytest
import torch

from mmseg.cli.convert import main
from mmseg.utils.checkpoint import CheckpointError, read_checkpoint
from mmseg.utils.convert import convert, convert_file, read_weights, zero_padded
from mmseg.utils.weight_layout import Layout, count, size_of

LAYOUT = Layout(
    origin='a toy',
    target=lambda weights: dict(type='DeconvModule', in_channels=3, out_channels=size_of(weights, UP + '1.weight', 5)),
    renames=((r'^up\.', 'deconv_upsamping.0.'), (r'^bn(\d)\.', lambda match: f'{UP}{int(match[1]) - 1}.')),
    left_out=(r'head\.',))
UP = 'deconv_upsamping.'


def toy(**changes):
    weights = {'up.weight': torch.randn(3, 5, 4, 4), 'up.bias': torch.randn(5), 'head.fc': torch.ones(2),
               **{f'bn2.{key}': torch.rand(5) for key in ('weight', 'bias', 'running_mean', 'running_var')}}
    weights.update(changes)
    return {key: value for key, value in weights.items() if value is not None}


@pytest.mark.parametrize('wrap', [lambda w: w, lambda w: dict(state_dict=w, epoch=3), lambda w: dict(model=w),
                                  lambda w: dict(state_dict={f'module.{key}': value for key, value in w.items()})])
def test_weights_get_their_new_names(tmp_path, wrap):
    weights = toy()
    torch.save(wrap(weights), tmp_path / 'a.pth')
    convert_file(tmp_path / 'a.pth', tmp_path / 'b.pth', LAYOUT)
    written = read_checkpoint(tmp_path / 'b.pth')
    names = dict(zip((f'{UP}0.weight', f'{UP}0.bias', f'{UP}1.weight', f'{UP}1.bias', f'{UP}1.running_mean',
                      f'{UP}1.running_var'), ('up.weight', 'up.bias', 'bn2.weight', 'bn2.bias', 'bn2.running_mean',
                                              'bn2.running_var')))
    torch.testing.assert_close(dict(written['state_dict']), {new: weights[old] for new, old in names.items()})
    assert written['meta'] == dict(converted_from='a.pth')


@pytest.mark.parametrize('changes, words', [
    (dict(other=torch.ones(2)), '1 of its weights are not known: other'),
    (dict(bn3=torch.ones(2)), 'not known: bn3'),
    ({'up.bias': None, 'bn2.bias': None}, r'2 are missing: deconv_upsamping.0.bias, deconv_upsamping.1.bias'),
    ({'up.weight': torch.ones(3, 5, 3, 3)},
     r'another shape: up.weight \[3, 5, 3, 3\] for \[3, 5, 4, 4\] of deconv_upsamping.0.weight'),
    ({'deconv_upsamping.0.bias': torch.ones(5)}, 'up.bias and deconv_upsamping.0.bias would both become'),
])
def test_nothing_is_written_where_something_does_not_fit(tmp_path, capsys, changes, words):
    torch.save(toy(**changes), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=words):
        convert_file(tmp_path / 'a.pth', tmp_path / 'b.pth', LAYOUT)
    (tmp_path / 'b.pth').write_text('as it was')
    assert main('', LAYOUT, [str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth')]) == 2
    assert 'does not hold the weights of a toy' in capsys.readouterr().err
    assert (tmp_path / 'b.pth').read_text() == 'as it was'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.pth', 'b.pth']


def test_a_long_list_is_cut():
    with pytest.raises(CheckpointError, match='30 of its weights are not known: x0, x1, .* x19 and 10 more; 6 are'):
        convert({f'x{i}': torch.ones(1) for i in range(30)}, LAYOUT)


def test_adapted_weights_are_judged_by_their_shapes():
    def widen(weights, shapes):
        return {key: zero_padded(value, shapes[key]) for key, value in weights.items()}
    layout = Layout(LAYOUT.origin, lambda _: dict(type='DeconvModule', in_channels=4, out_channels=8),
                    LAYOUT.renames, LAYOUT.left_out, widen)
    converted = convert(toy(), layout)
    weight = converted.weights[f'{UP}0.weight']
    assert weight.shape == (4, 8, 4, 4) and weight[3].eq(0).all() and weight[:, 5:].eq(0).all()
    with pytest.raises(CheckpointError, match=r'deconv_upsamping.1.bias'):
        convert(toy(**{'bn2.bias': torch.ones(9)}), layout)


@pytest.mark.parametrize('shape, target, corner', [
    ((2,), (3,), 0), ((2, 2, 1, 1), (3, 2, 3, 3), 1), ((2, 2, 3, 3), (2, 4, 3, 3), 0)])
def test_zeros_go_behind_channels_and_around_kernels(shape, target, corner):
    weight = torch.rand(shape) + 1
    padded = zero_padded(weight, target)
    inner = padded[tuple(slice(corner if dim >= 2 else 0, (corner if dim >= 2 else 0) + n)
                         for dim, n in enumerate(shape))]
    assert padded.shape == target and torch.equal(inner, weight) and padded.sum() == weight.sum()


def test_what_is_larger_is_not_padded():
    weight = torch.ones(3, 2)
    assert zero_padded(weight, (2, 4)) is weight and zero_padded(weight, (3, 2, 1)) is weight


@pytest.mark.parametrize('content', [dict(epoch=3), dict(state_dict=3), {0: torch.ones(1)}, dict(state_dict=dict(a=1))])
def test_a_file_without_weights_is_refused(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='holds no weights by name, but'):
        read_weights(tmp_path / 'a.pth')


def test_nothing_in_a_file_is_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return open, (str(tmp_path / 'ran'), 'w')
    torch.save(dict(model=Runs()), tmp_path / 'a.pth')
    np.savez(tmp_path / 'a.npz', a=np.array([Runs()], dtype=object))
    (tmp_path / 'b.npz').write_bytes(pickle.dumps(Runs()))
    for name in ('a.pth', 'a.npz', 'b.npz'):
        with pytest.raises(CheckpointError):
            read_weights(tmp_path / name)
    assert not (tmp_path / 'ran').exists()


def test_command_line_refuses_what_it_cannot_do(tmp_path, capsys):
    torch.save(toy(), tmp_path / 'a.pth')
    for arguments, words in (([str(tmp_path / 'c.pth'), 'x.pth'], 'no file'),
                             ([str(tmp_path / 'a.pth'), str(tmp_path / '.' / 'a.pth')], 'SRC and DST are both')):
        assert main('', LAYOUT, arguments) == 2
        assert words in capsys.readouterr().err


def test_sizes_are_read_off_the_weights():
    weights = {'a.0.b': torch.ones(4, 2), 'a.10.b': torch.ones(3), 'c': torch.ones(())}
    assert count(weights, r'a\.(\d+)', default=1) == 11 and count({}, r'a\.(\d+)', default=7) == 7
    assert (size_of(weights, 'a.0.b', 9), size_of(weights, 'c', 9), size_of(weights, 'd', 9)) == (4, 9, 9)
