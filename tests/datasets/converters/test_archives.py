"""Zip and tar files are read where they lie; those that are damaged, foreign or malicious are refused."""
import gzip
import io
import tarfile
import zipfile

import pytest

from mmseg.datasets.converters.archives import Scratch, list_members, read_list
from mmseg.utils.errors import InputError
from tests.datasets.converters.published import loose, tarred, zipped

FILES = {'data/a.txt': b'first ' * 100, 'data/deep/b.txt': b'second'}


@pytest.fixture
def scratch(tmp_path):
    with Scratch(tmp_path, 'test') as scratch:
        yield scratch
    assert not scratch.folder.exists()


def contents(members):
    return {member.name: member.read() for member in members}


@pytest.mark.parametrize('make, name', [
    (zipped, 'x.zip'), (tarred, 'x.tar'), (lambda path, files: tarred(path, files, 'w:gz'), 'x.tar.gz'),
    (lambda path, files: tarred(path, files, 'w:bz2'), 'x.tar.bz2'),
    (lambda path, files: tarred(path, files, 'w:xz'), 'x.tar.xz')])
def test_every_kind_of_archive_holds_the_same(tmp_path, scratch, make, name):
    path = make(tmp_path / name, FILES)
    expected = {f'{name}/{inner}': content for inner, content in FILES.items()}
    assert contents(list_members(path, scratch)) == expected
    assert contents(list_members(tmp_path, scratch, archives=r'x\..*')) == expected
    assert list(contents(list_members(tmp_path, scratch))) == [name]  # an archive that was not asked for


def test_a_folder_gives_its_files_and_those_of_its_archives(tmp_path, scratch):
    loose(tmp_path / 'in', {'data/c.txt': b'c', '.hidden/d.txt': b'', '__MACOSX/e.txt': b'', 'data/._c.txt': b''})
    zipped(tmp_path / 'in' / 'more' / 'part1.ZIP', FILES)
    members = list_members(tmp_path / 'in', scratch, archives=r'part\d\.zip')
    assert contents(members) == {'data/c.txt': b'c', 'more/part1.ZIP/data/a.txt': FILES['data/a.txt'],
                                 'more/part1.ZIP/data/deep/b.txt': b'second'}
    assert [member.size for member in members] == [1, 600, 6]


def test_leading_dots_and_gzipped_members(tmp_path, scratch):
    path = tarred(tmp_path / 'x.tar', {'./im0001.ppm.gz': gzip.compress(b'P5 1 1 255 x')})
    assert contents(list_members(path, scratch)) == {'x.tar/im0001.ppm.gz': b'P5 1 1 255 x'}


@pytest.mark.parametrize('outer', [zipped, tarred])
def test_archives_inside_an_archive(tmp_path, scratch, outer):
    inner = zipped(tmp_path / 'inner.zip', FILES).read_bytes()
    path = outer(tmp_path / 'outer', {'set/inner.zip': inner, 'set/other.zip': b'not wanted'})
    found = contents(list_members(path, scratch, nested=r'inner\.zip'))
    assert found == {'outer/set/other.zip': b'not wanted', 'outer/set/inner.zip/data/a.txt': FILES['data/a.txt'],
                     'outer/set/inner.zip/data/deep/b.txt': b'second'}


@pytest.mark.parametrize('make', [zipped, tarred])
@pytest.mark.parametrize('name', ['../evil.png', '/etc/evil.png', 'a/../../evil.png', 'C:/evil.png', '..\\evil.png'])
def test_a_member_that_leads_out_is_refused(tmp_path, scratch, make, name):
    path = make(tmp_path / 'x', {'good.png': b'', name: b''})
    with pytest.raises(InputError, match=r'x has a member .*evil\.png.*outside of the target folder'):
        list_members(path, scratch)


def test_links_are_passed_over(tmp_path, scratch):
    with tarfile.open(tmp_path / 'x.tar', 'w') as archive:
        link = tarfile.TarInfo('link.png')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        archive.addfile(link)
    with zipfile.ZipFile(tmp_path / 'x.zip', 'w') as archive:
        link = zipfile.ZipInfo('link.png')
        link.external_attr = 0o120777 << 16
        archive.writestr(link, '/etc/passwd')
    assert list_members(tmp_path / 'x.tar', scratch) == list_members(tmp_path / 'x.zip', scratch) == []


@pytest.mark.parametrize('make', [zipped, tarred, lambda path, files: tarred(path, files, 'w:gz')])
def test_a_download_that_broke_off(tmp_path, scratch, make):
    random = {f'{number}.bin': bytes(range(256)) * 40 for number in range(4)}
    path = make(tmp_path / 'x', random)
    content = path.read_bytes()
    # Behind the last member of a tar file only zeros follow.
    path.write_bytes(content[:len(content) // 2])
    with pytest.raises(InputError, match=r'x is damaged or not complete \(.*; [\d,]+ bytes\): fetch it again'):
        list_members(path, scratch)


def test_a_damaged_member_is_found_when_it_is_read(tmp_path, scratch):
    path = zipped(tmp_path / 'x.zip', FILES)
    content = bytearray(path.read_bytes())
    content[content.index(b'data/a.txt') + 14] ^= 255
    path.write_bytes(content)
    first, _ = list_members(path, scratch)
    with pytest.raises(InputError, match=r'x\.zip/data/a\.txt is damaged \(.*\): fetch x\.zip again'):
        first.read()


def test_a_damaged_gzipped_member(tmp_path, scratch):
    path = tarred(tmp_path / 'x.tar', {'a.ppm.gz': gzip.compress(bytes(1000))[:-9]})
    with pytest.raises(InputError, match=r'a\.ppm\.gz is damaged .* fetch x\.tar again'):
        list_members(path, scratch)[0].read()


@pytest.mark.parametrize('content, sentence', [
    (b'<!DOCTYPE html><html>Sign in', r"begins with b'<!DOCTYPE ht', a web page: the download asks to.*28 bytes"),
    (b'\x89PNG and more', r"begins with .*PNG.*; expected a zip or tar archive \(it has 13 bytes\): fetch it again"),
    (b'', r"begins with b''; expected a zip or tar archive \(it has 0 bytes\)"),
    (b'Rar!\x1a\x07', 'is a rar archive, which cannot be opened here: unpack it with another program'),
    (b"7z\xbc\xaf\x27\x1c", 'is a 7z archive')])
def test_what_is_no_archive(tmp_path, scratch, content, sentence):
    path = tmp_path / 'x.zip'
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        list_members(path, scratch)


def test_an_encrypted_archive(tmp_path, scratch):
    path = zipped(tmp_path / 'x.zip', FILES)
    content = bytearray(path.read_bytes())
    for mark, place in ((b'PK\x03\x04', 6), (b'PK\x01\x02', 8)):
        content[content.index(mark) + place] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'cannot be read \(it is encrypted\): unpack x\.zip with another program'):
        list_members(path, scratch)[0].read()


def test_a_missing_path_is_told_with_what_is_near(tmp_path, scratch):
    loose(tmp_path, {'in/train.zip': b''})
    with pytest.raises(InputError, match=r"trian\.zip' does not exist; its folder holds train\.zip"):
        list_members(tmp_path / 'in' / 'trian.zip', scratch)
    with pytest.raises(InputError, match='its folder does not exist either'):
        list_members(tmp_path / 'out' / 'train.zip', scratch)


def test_lists(tmp_path, scratch):
    path = zipped(tmp_path / 'x.zip', {'a/lists/train.txt': b'one \r\n\r\ntwo\n', 'a/other_train.txt': b'no'})
    members = list_members(path, scratch)
    assert read_list(members, 'lists/train.txt', 'x.zip') == ['one', 'two']
    with pytest.raises(InputError, match=r'found no val\.txt among 2 files; expected it in x\.zip'):
        read_list(members, 'val.txt', 'x.zip')


def test_a_member_of_an_open_part_ends_where_it_should(tmp_path, scratch):
    """A member copied out of a tar file is not longer than it says, whatever follows."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode='w') as archive:
        member = tarfile.TarInfo('a.txt')
        member.size = 5
        archive.addfile(member, io.BytesIO(b'hello'))
    path = tarred(tmp_path / 'outer.tar', {'inner.tar': inner.getvalue(), 'after.bin': b'\xff' * 5000})
    found = contents(list_members(path, scratch, nested=r'inner\.tar'))
    assert found['outer.tar/inner.tar/a.txt'] == b'hello'
    assert (scratch.folder / '0-inner.tar').stat().st_size == len(inner.getvalue())
