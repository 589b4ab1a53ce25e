"""Files are fetched from a server on this machine that misbehaves as it is told."""
import hashlib
import http.server
import os
import threading

import pytest

from mmseg.utils import download as module
from mmseg.utils.download import cache_folder, download, sources
from mmseg.utils.errors import CheckpointError

CONTENT = bytes(range(256)) * 40
NAME = f'net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth'


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT as any file below `/published`, and notes what was asked.

    Attributes:
        breaks: bytes after which each of the next answers breaks off; None for a whole answer.
        failures: status codes of the next answers.
        ranges: whether it can send a part.
        content: what it serves.
    """

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.breaks, self.failures, self.ranges, self.content, self.asked = [], [], True, CONTENT, []
        self.address = f'http://127.0.0.1:{self.server_port}'


class Handler(http.server.BaseHTTPRequestHandler):

    def do_GET(self):
        server, wanted = self.server, self.headers.get('Range')
        server.asked.append((self.path, wanted))
        if server.failures:
            self.send_error(server.failures.pop(0))
            return
        start = int(wanted[6:-1]) if wanted and server.ranges else 0
        if not self.path.startswith('/published/') or start >= len(server.content):
            self.send_error(416 if start else 404)
            return
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(server.content) - start))
        self.end_headers()
        end = server.breaks.pop(0) if server.breaks else None
        self.wfile.write(server.content[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, 'WAITS', (0, 0, 0))
    for variable in ('MMSEG_MIRROR', 'MMSEG_OFFLINE', 'MMSEG_CACHE'):
        monkeypatch.delenv(variable, raising=False)
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_file_is_fetched_once_and_nothing_else_is_left(server, tmp_path):
    for _ in range(2):
        download(f'{server.address}/published/{NAME}', tmp_path / 'new' / NAME)
    assert (tmp_path / 'new' / NAME).read_bytes() == CONTENT
    assert server.asked == [(f'/published/{NAME}', None)]
    assert [file.name for file in (tmp_path / 'new').iterdir() if not file.name.startswith('.')] == [NAME]


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.breaks = [3000, 7000]
    download(f'{server.address}/published/{NAME}', tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, 'bytes=3000-', 'bytes=7000-']


def test_the_part_of_an_earlier_process_is_used(server, tmp_path):
    (tmp_path / f'{NAME}.part').write_bytes(CONTENT[:5000])
    download(f'{server.address}/published/{NAME}', tmp_path / NAME)
    assert server.asked == [(f'/published/{NAME}', 'bytes=5000-')]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    server.ranges, server.breaks = False, [3000]
    download(f'{server.address}/published/{NAME}', tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_part_that_is_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / f'{NAME}.part').write_bytes(CONTENT + b'more')
    download(f'{server.address}/published/{NAME}', tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize('code', [500, 503, 429])
def test_a_passing_failure_is_waited_for(server, tmp_path, code):
    server.failures = [code, code]
    download(f'{server.address}/published/{NAME}', tmp_path / NAME)
    assert len(server.asked) == 3
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_what_is_not_there_is_asked_for_once(server, tmp_path):
    with pytest.raises(CheckpointError, match=rf'cannot be fetched .*404.*put it at .*{NAME}.*or set MMSEG_CACHE'):
        download(f'{server.address}/nowhere/{NAME}', tmp_path / NAME)
    assert len(server.asked) == 1


def test_a_wrong_part_is_found_by_the_hash_and_fetched_anew(server, tmp_path):
    (tmp_path / f'{NAME}.part').write_bytes(b'x' * 5000)
    download(f'{server.address}/published/{NAME}', tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == ['bytes=5000-', None]


def test_another_content_than_the_name_says_is_refused(server, tmp_path):
    server.content = CONTENT[::-1]
    with pytest.raises(CheckpointError, match=f'has the hash [0-9a-f]{{8}} where its name says {NAME[4:12]}'):
        download(f'{server.address}/published/{NAME}', tmp_path / NAME)
    assert not (tmp_path / NAME).exists()
    assert not (tmp_path / f'{NAME}.part').exists()


def test_mirrors_come_first_and_the_origin_last(server, tmp_path, monkeypatch):
    monkeypatch.setenv('MMSEG_MIRROR', f'{server.address}/published/mirror {server.address}/broken/')
    origin = f'http://127.0.0.1:1/models/v0.5/{NAME}'
    assert sources(origin) == [f'{server.address}/published/mirror/models/v0.5/{NAME}',
                               f'{server.address}/broken/models/v0.5/{NAME}', origin]
    download(origin, tmp_path / NAME)
    assert [path for path, _ in server.asked] == [f'/published/mirror/models/v0.5/{NAME}']
    monkeypatch.setenv('MMSEG_MIRROR', f'{server.address}/broken')
    download(f'{server.address}/published/{NAME}', tmp_path / 'second' / NAME)
    assert [path for path, _ in server.asked][1:] == [f'/broken/published/{NAME}', f'/published/{NAME}']


def test_without_a_network_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'WAITS', (0,))
    address = f'http://127.0.0.1:1/{NAME}'
    with pytest.raises(CheckpointError) as error:
        download(address, tmp_path / NAME)
    assert 'Connection refused' in str(error.value)
    assert f'download {address} on a machine with a network and put it at {tmp_path / NAME}' in str(error.value)
    assert '\n' not in str(error.value)


def test_offline_means_that_nothing_is_asked(server, tmp_path, monkeypatch):
    monkeypatch.setenv('MMSEG_OFFLINE', '1')
    with pytest.raises(CheckpointError, match='MMSEG_OFFLINE forbids to fetch it: download .* put it at'):
        download(f'{server.address}/published/{NAME}', tmp_path / NAME)
    assert server.asked == []
    (tmp_path / NAME).write_bytes(b'mine')
    download(f'{server.address}/published/{NAME}', tmp_path / NAME)
    assert (tmp_path / NAME).read_bytes() == b'mine'


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSEG_CACHE', str(tmp_path / 'kept'))
    assert cache_folder() == tmp_path / 'kept'
    monkeypatch.delenv('MMSEG_CACHE')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    assert cache_folder() == tmp_path / 'torch' / 'hub' / 'checkpoints'


def test_a_place_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(CheckpointError, match='cannot be fetched .*file'):
        download(f'{server.address}/published/{NAME}', tmp_path / 'file' / NAME)


def test_two_at_once_fetch_one_file(server, tmp_path):
    threads = [threading.Thread(target=download, args=(f'{server.address}/published/{NAME}', tmp_path / NAME))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert len(server.asked) == (1 if os.name == 'posix' else len(server.asked))
