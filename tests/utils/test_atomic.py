"""A file is the old one or the whole new one."""
import os
import resource
import signal

import pytest
import torch

from mmseg.utils.atomic import DiskFullError, remove_unfinished, replace_file, write_text
from mmseg.utils.checkpoint import read_checkpoint, write_checkpoint


@pytest.fixture
def small_disk():
    """Files of this process may not grow beyond 100 kB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[0][1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
    signal.signal(signal.SIGXFSZ, before[1])


def test_a_full_disk_leaves_the_last_good_one(tmp_path, small_disk):
    path = tmp_path / 'last.pth'
    write_checkpoint(dict(state_dict=dict(a=torch.ones(5))), path)
    sentence = (r'no room for .*last\.pth: it takes 4,0\d\d,\d\d\d bytes and [\d,]+ are free; the one that stood there '
                'is unharmed.*max_keep_ckpts')
    with pytest.raises(DiskFullError, match=sentence):
        write_checkpoint(dict(state_dict=dict(a=torch.ones(1_000_000))), path)
    assert torch.equal(read_checkpoint(path)['state_dict']['a'], torch.ones(5))
    assert os.listdir(tmp_path) == ['last.pth']


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / 'note'
    write_text('old', path)

    def fail(file):
        file.write(b'half of the n')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(path, fail)
    assert path.read_text() == 'old' and os.listdir(tmp_path) == ['note']


def test_nobody_ever_sees_a_part(tmp_path, monkeypatch):
    path, seen = tmp_path / 'note', []
    write_text('old', path)
    rename = os.replace
    monkeypatch.setattr(os, 'replace', lambda *names: (seen.append(path.read_text()), rename(*names)))
    replace_file(path, lambda file: [file.write(b'n'), seen.append(path.read_text()), file.write(b'ew')])
    assert seen == ['old', 'old'] and path.read_text() == 'new'


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / '.iter_8.pth.writing').write_bytes(b'part')
    (tmp_path / 'iter_4.pth').write_bytes(b'whole')
    assert [path.name for path in remove_unfinished(tmp_path)] == ['.iter_8.pth.writing']
    assert os.listdir(tmp_path) == ['iter_4.pth']
