"""The command `mmseg serve` as a process of its own, and what keeps it from starting."""
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from mmseg.cli import main
from mmseg.serving import server
from tests.serving.broken import encoded

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}


@pytest.fixture(scope='module')
def arguments(project):
    pytest.importorskip('fastapi', reason='pip install fastapi uvicorn python-multipart')
    return [str(project), str(project.with_suffix('.pth')), '--device', 'cpu']


@pytest.fixture
def start(arguments):
    """A function: options → a running server, its lines up to the address, and the address."""
    started = []

    def run(*options):
        process = subprocess.Popen([sys.executable, '-m', 'mmseg.cli', 'serve', *arguments, '--port', '0', *options],
                                   env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        alarm = threading.Timer(120, process.kill)
        alarm.start()
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if 'http://' in line:
                break
        alarm.cancel()
        assert lines and 'http://' in lines[-1], process.stderr.read()
        return process, lines, lines[-1].split()[3]
    yield run
    for process in started:
        process.kill()
        process.communicate()


def ask(url, content=None, **headers):
    request = urllib.request.Request(url, content, {'Content-Type': 'image/png', **headers})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return answer.read()


def test_a_server_starts_answers_and_stops(start):
    process, lines, url = start('--require-token')
    token = next(line for line in lines if line.startswith('token: ')).removeprefix('token: ')
    assert len(token) >= 32 and lines[-1] == f'tiny on cpu: {url} (Ctrl+C ends it)'
    assert url.startswith('http://127.0.0.1:')
    assert ask(f'{url}/predict', encoded(), Authorization=f'Bearer {token}').startswith(b'\x89PNG')
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, 130), said


def test_a_server_bears_broken_requests(arguments):
    """The script that measures, for a moment: everything right is answered, everything broken refused."""
    done = subprocess.run([sys.executable, str(ROOT / 'tools' / 'benchmark_serve.py'), *arguments[:2], '--clients', '6',
                           '--seconds', '3', '--broken', '0.6', '--', '--device', 'cpu'],
                          env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ', 0 failed' in done.stdout and done.stdout.endswith('the server is alive\n')
    assert '20000x20000: 413' in done.stdout or 'truncated: 422' in done.stdout


def test_a_port_in_use(arguments, capsys):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        assert main(['serve', *arguments, '--port', str(port)]) == 2
    assert capsys.readouterr().err == (f'mmseg serve: port {port} of 127.0.0.1 is in use: stop what runs there, or '
                                       'choose another with --port\n')


def test_two_servers_do_not_share_a_port():
    with server.listen('127.0.0.1', 0) as first:
        with pytest.raises(server.InputError, match='is in use'):
            server.listen('127.0.0.1', first.getsockname()[1])
        assert server.is_loopback(first) and server.url_of(first).startswith('http://127.0.0.1:')
    with server.listen('0.0.0.0', 0) as everywhere:
        assert not server.is_loopback(everywhere)


@pytest.mark.parametrize(('options', 'sentence'), [
    (['--port', '99999'], 'a port is a number from 0 to 65535, found 99999'),
    (['--host', '192.0.2.1'], '192.0.2.1 is no address of this machine: choose another with --host'),
    (['--max-batch', '0'], '--max-batch is at least 1 and --max-wait at least 0, found 0 and 5'),
    (['--max-queue', '0'], 'the limit queue has to be above 0, found 0'),
    (['--token-file', 'none.txt'], "no file 'none.txt'"),
    (['--token-file', '{empty}'], 'holds no token: write one on each line'),
    (['--host', 'no.such.host.invalid'], 'cannot listen on no.such.host.invalid, port 8000: '),
    (['--device', 'cuda:77', '--port', '0'], "the device 'cuda:77' is not here")])
def test_what_cannot_be_served_is_one_sentence(arguments, tmp_path, capsys, monkeypatch, options, sentence):
    (tmp_path / 'empty').touch()
    options = [option.format(empty=tmp_path / 'empty') for option in options]
    monkeypatch.setattr(server, 'run', lambda *_: pytest.fail('it is served'))
    assert main(['serve', *arguments, *options]) == 2
    said = capsys.readouterr().err
    assert sentence in said and len(said.splitlines()) == 1


def test_a_checkpoint_that_is_gone(arguments, capsys):
    gone = arguments[1].replace('tiny.pth', 'tinny.pth')
    assert main(['serve', arguments[0], gone]) == 2
    assert capsys.readouterr().err == f"mmseg serve: no file {gone!r}: its folder holds tiny.pth\n"


def test_missing_packages_are_named(arguments, capsys, monkeypatch):
    monkeypatch.setattr(server, 'PACKAGES', {'no_such_module': 'no-such-package', 'sys': 'python'})
    assert main(['serve', *arguments]) == 2
    assert capsys.readouterr().err == ("mmseg serve: serving needs no-such-package: pip install "
                                       "'mmsegmentation[serve]' (or pip install no-such-package)\n")


def test_tokens_come_from_the_file_and_the_environment(tmp_path, monkeypatch):
    import argparse

    from mmseg.cli.serve import add_arguments, find_tokens
    (tmp_path / 'tokens').write_text('one\ntwo\n')
    monkeypatch.setenv('MMSEG_SERVE_TOKENS', 'three')
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert find_tokens(parser.parse_args(['c', 'k', '--token-file', str(tmp_path / 'tokens')])) == [
        'three', 'one', 'two']
    assert find_tokens(parser.parse_args(['c', 'k'])) == ['three']
