"""The archive and its handler, called as TorchServe calls it, and in the real server where that is installed."""
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile

import cv2
import numpy as np
import pytest

from mmseg.apis import inference_model
from mmseg.cli.torchserve import main_compare, main_pack
from tests.serving.broken import encoded

SECONDS_TO_START = 120


@pytest.fixture(scope='module')
def archive(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp('store')
    assert main_pack('', [str(project), str(project.with_suffix('.pth')), '--output-folder', str(folder),
                          '--model-name', 'scene']) == 0
    return folder / 'scene.mar'


class Context:
    """What a handler sees of the server."""

    def __init__(self, folder):
        self.manifest = json.loads((folder / 'MAR-INF' / 'MANIFEST.json').read_text())
        self.system_properties = dict(model_dir=str(folder), gpu_id=None)
        self.status, self.types = {}, {}

    def set_response_status(self, code, phrase, idx):
        self.status[idx] = code

    def set_response_content_type(self, idx, value):
        self.types[idx] = value


@pytest.fixture(scope='module')
def unpacked(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp('unpacked')
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def test_the_manifest_names_what_is_in_the_archive(unpacked):
    manifest = json.loads((unpacked / 'MAR-INF' / 'MANIFEST.json').read_text())
    assert manifest['runtime'] == 'python' and manifest['model'] == dict(
        modelName='scene', modelVersion='1.0', handler='torchserve_handler.py', serializedFile='tiny.pth')
    assert {path.name for path in unpacked.iterdir()} == {'MAR-INF', 'config.py', 'torchserve_handler.py', 'tiny.pth'}


def test_an_archive_is_replaced_only_by_force(project, archive, capsys):
    arguments = [str(project), str(project.with_suffix('.pth')), '--output-folder', str(archive.parent),
                 '--model-name', 'scene']
    assert main_pack('', arguments) == 2
    assert 'scene.mar exists: --force replaces it' in capsys.readouterr().err
    assert main_pack('', [*arguments, '--force']) == 0


def test_the_handler_gives_ids_and_refuses_one_image_of_a_batch(unpacked, model, image_file):
    spec = importlib.util.spec_from_file_location('torchserve_handler', unpacked / 'torchserve_handler.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = [cls for cls in vars(module).values() if isinstance(cls, type) and cls.__module__ == module.__name__]
    handler, context = own[0](), Context(unpacked)
    assert len(own) == 1, 'TorchServe takes the only class of the file'
    handler.initialize(context)
    answers = handler.handle([{'body': bytearray(image_file.read_bytes())}, {'data': b'text'},
                              {'data': encoded()[:2000]}, {'body': {'a': 1}}, {'data': encoded('.jpg', 33, 57)}],
                             context)
    assert context.status == {1: 415, 2: 422, 3: 415} and context.types == {0: 'image/png', 4: 'image/png'}
    assert 'expected an image' in answers[1] and 'truncated PNG' in answers[2] and 'type dict' in answers[3]
    labels = [cv2.imdecode(np.frombuffer(answers[i], np.uint8), cv2.IMREAD_UNCHANGED) for i in (0, 4)]
    assert (labels[0] == inference_model(model, str(image_file)).pred_sem_seg.data[0].numpy()).all()
    assert labels[1].shape == (33, 57)


def test_a_server_that_is_not_there(project, image_file, capsys):
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{sock.getsockname()[1]}'
    assert main_compare('', [str(image_file), str(project), str(project.with_suffix('.pth')), 'scene',
                             '--inference-addr', address]) == 2
    assert f'http://{address}/predictions/scene does not answer' in capsys.readouterr().err


def missing_parts():
    missing = [] if importlib.util.find_spec('ts') else ['torchserve']
    java = shutil.which('java') and subprocess.run(['java', '-version'], capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', java or '')
    return missing + ([] if version and int(version[1]) >= 17 else ['Java 17'])


def free_ports(count):
    socks = [socket.create_server(('127.0.0.1', 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


@pytest.fixture
def inference_address(archive, tmp_path):
    if missing := missing_parts():
        pytest.skip(f'TorchServe needs {" and ".join(missing)}')
    inference, management, metrics, worker = free_ports(4)
    (tmp_path / 'config.properties').write_text(
        f'inference_address=http://127.0.0.1:{inference}\nmanagement_address=http://127.0.0.1:{management}\n'
        f'metrics_address=http://127.0.0.1:{metrics}\nenable_grpc=false\ninitial_worker_port={worker}\n'
        'default_workers_per_model=1\nnumber_of_netty_threads=1\n')
    environment = {**os.environ, 'TMPDIR': str(tmp_path), 'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.getcwd(),
                   'PATH': os.pathsep.join([os.path.dirname(sys.executable), os.environ['PATH']])}
    with open(tmp_path / 'log', 'w') as log:
        process = subprocess.Popen(
            [sys.executable, '-c', 'from ts.model_server import start; start()', '--start', '--foreground', '--ncs',
             '--disable-token-auth', '--model-store', str(archive.parent), '--models', 'scene=scene.mar',
             '--ts-config', str(tmp_path / 'config.properties')],
            cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(f'http://127.0.0.1:{management}/models/scene', process, tmp_path / 'log')
        yield f'127.0.0.1:{inference}'
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(url, process, log):
    """Until a worker of the model is ready."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None and 'Failed to load model' not in log.read_text():
        try:
            with opener.open(url, timeout=10) as answer:
                if any(worker['status'] == 'READY' for worker in json.load(answer)[0]['workers']):
                    return
        except OSError:
            pass
        time.sleep(0.5)
    said = [line for line in log.read_text().splitlines() if 'ACCESS_LOG' not in line and 'TS_METRICS' not in line]
    pytest.fail('\n'.join(['TorchServe did not start:', *said[-40:]]))


def test_the_real_server_agrees_with_pytorch(inference_address, project, image_file, tmp_path, capsys):
    arguments = [str(project), str(project.with_suffix('.pth')), 'scene', '--inference-addr', inference_address,
                 '--device', 'cpu']
    assert main_compare('', [str(image_file), *arguments, '--result-image', str(tmp_path / 'ids.png')]) == 0
    assert 'agree in all 3072 pixels' in capsys.readouterr().out
    ids = cv2.imread(str(tmp_path / 'ids.png'), cv2.IMREAD_UNCHANGED)
    assert ids.shape == (48, 64) and ids.max() <= 2
    (tmp_path / 'text.png').write_text('This is no image.')
    assert main_compare('', [str(tmp_path / 'text.png'), *arguments]) == 2
    assert 'answered 415: image: found bytes that begin with' in capsys.readouterr().err
