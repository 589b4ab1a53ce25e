"""Every door of the server, and every way to knock wrongly."""
import asyncio
import io
import time
import zipfile

import cv2
import numpy as np
import pytest

from mmseg.apis import inference_model
from mmseg.apis.pipeline import ImagePipeline
from mmseg.serving.limits import Limits
from mmseg.serving.service import Service, Upload
from mmseg.visualization.drawing import overlay_labels
from tests.cli.tiny import CLASSES, HEIGHT, PALETTE, WIDTH
from tests.serving.broken import FILES, encoded

PNG = {'Content-Type': 'image/png'}


@pytest.fixture(scope='module')
def expected(model, image_file):
    return inference_model(model, str(image_file))


def ask(client, content, **arguments):
    return client.post('/predict', content=content, headers=PNG, params=arguments)


def decoded(answer):
    content = answer if isinstance(answer, bytes) else answer.content
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def sentence(answer):
    text = answer.json()['error']
    assert len(text.split()) > 4
    return text


def test_labels_are_those_of_pytorch(client, image_file, expected):
    answer = ask(client, image_file.read_bytes())
    assert answer.status_code == 200 and answer.headers['content-type'] == 'image/png'
    labels = decoded(answer)
    assert labels.dtype == np.uint8 and (labels == expected.pred_sem_seg.data[0].numpy()).all()
    assert len(np.unique(labels)) > 1


def test_an_overlay_is_the_picture_painted(client, image_file, expected):
    answer = ask(client, image_file.read_bytes(), output='overlay', opacity=0.3)
    assert answer.headers['content-type'] == 'image/jpeg'
    picture = cv2.imread(str(image_file))[..., ::-1]
    drawn = overlay_labels(np.ascontiguousarray(picture), expected.pred_sem_seg.data[0].numpy(), PALETTE, 0.3)
    compressed = cv2.imencode('.jpg', np.ascontiguousarray(drawn[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    assert (decoded(answer) == decoded(compressed.tobytes())).all()


def test_probabilities_are_an_array(client, image_file, expected):
    answer = ask(client, image_file.read_bytes(), output='probabilities')
    found = np.load(io.BytesIO(answer.content))
    assert found.dtype == np.float16 and found.shape == (3, HEIGHT, WIDTH)
    np.testing.assert_allclose(found, expected.seg_logits.data.softmax(0).numpy(), atol=1e-3)


def test_several_images_come_back_as_an_archive_in_order(client, model, image_file):
    other = encoded('.jpg', 33, 57)
    answer = client.post('/predict', files=[('a', ('a/street.png', image_file.read_bytes())), ('b', ('b.jpg', other)),
                                            ('c', ('..\\b.jpg', other))])
    assert answer.status_code == 200 and answer.headers['content-type'] == 'application/zip'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ['00-street.png', '01-b.png', '02-b.png']
        labels = [decoded(archive.read(name)) for name in archive.namelist()]
    assert [found.shape for found in labels] == [(HEIGHT, WIDTH), (33, 57), (33, 57)]
    image = cv2.imdecode(np.frombuffer(other, np.uint8), 1)
    assert (labels[2] == inference_model(model, image).pred_sem_seg.data[0].numpy()).all()


def test_a_form_with_one_image_gives_one_answer(client, image_file):
    answer = client.post('/predict', files={'image': ('x.png', image_file.read_bytes())})
    assert answer.headers['content-type'] == 'image/png' and decoded(answer).shape == (HEIGHT, WIDTH)


def test_the_other_doors(client, image_file):
    ask(client, image_file.read_bytes())
    ask(client, b'text')
    assert client.get('/health').json()['status'] == 'ok'
    assert client.get('/classes').json() == {'classes': list(CLASSES), 'palette': PALETTE}
    page = client.get('/')
    assert 'Drop an image here' in page.text and "default-src 'none'" in page.headers['content-security-policy']
    lines = client.get('/metrics').text.splitlines()
    assert {'mmseg_requests_total{status="200"} 1', 'mmseg_requests_total{status="415"} 1', 'mmseg_images_total 1',
            'mmseg_batch_images_count 1', 'mmseg_images_in_work 0'} <= set(lines)
    assert '/predict' in client.get('/openapi.json').json()['paths']


@pytest.mark.parametrize('name', FILES)
def test_broken_files_get_a_sentence(client, image_file, name):
    content, status, part = FILES[name]
    answer = ask(client, content)
    assert answer.status_code == status and part in sentence(answer)
    in_form = client.post('/predict', files=[('a', ('ok.png', image_file.read_bytes())), ('b', ('odd.png', content))])
    assert in_form.status_code == status and sentence(in_form).startswith('odd.png: ')
    assert ask(client, image_file.read_bytes()).status_code == 200


@pytest.mark.parametrize(('request_', 'status', 'part'), [
    (dict(json={'image': 'x'}), 415, "found the Content-Type 'application/json', expected image/jpeg"),
    (dict(content=b'x'), 415, "found the Content-Type 'of nothing'"),
    (dict(data={'image': 'x'}), 415, 'x-www-form-urlencoded'),
    (dict(files={'a': (None, 'text')}), 400, 'found a form without a file'),
    (dict(content=b'no form', headers={'Content-Type': 'multipart/form-data'}), 400, 'the form cannot be read'),
    (dict(content=b'no', headers={'Content-Type': 'multipart/form-data; boundary=x'}), 400, ''),
    (dict(files=[('a', ('a.png', b'x'))] * 17), 400, 'holds more than 16 files'),
    (dict(content=b'x', headers=PNG, params=dict(output='colors')), 422, "output: found 'colors'"),
    (dict(content=b'x', headers=PNG, params=dict(opacity='much')), 422, "opacity: found 'much'"),
    (dict(content=b'x', headers=PNG, params=dict(opacity='2')), 422, 'opacity is a number from 0 to 1, found 2')])
def test_broken_requests_get_a_sentence(client, request_, status, part):
    answer = client.post('/predict', **request_)
    assert answer.status_code == status and part in sentence(answer)


def test_other_doors_are_named(client):
    assert client.get('/predict').status_code == 405
    assert 'POST /predict' in sentence(client.get('/nowhere'))


@pytest.mark.parametrize('form', [False, True])
def test_requests_that_are_too_long(client_of, form):
    client = client_of(limits=Limits(megabytes=0.1))
    content = encoded(height=200, width=200)
    assert len(content) > 100_000
    answer = client.post('/predict', files={'a': ('a.png', content)}) if form else ask(client, content)
    assert answer.status_code == 413 and 'expected at most 0.1 MB' in sentence(answer)


def test_probabilities_of_a_large_image_are_refused_before_they_are_computed(client_of, image_file):
    client = client_of(limits=Limits(answer_megabytes=0.01))
    answer = ask(client, image_file.read_bytes(), output='probabilities')
    assert answer.status_code == 413 and 'of 3 classes would take 0 MB, expected at most 0.01' in sentence(answer)
    assert ask(client, image_file.read_bytes()).status_code == 200


def test_a_full_queue_says_so(client_of, image_file):
    client = client_of(limits=Limits(queue=2))
    answer = client.post('/predict', files=[('a', ('a.png', image_file.read_bytes()))] * 3)
    assert answer.status_code == 503 and answer.headers['retry-after'] == '1'
    assert '0 images are in work, expected at most 2 with these 3' in sentence(answer)
    assert ask(client, image_file.read_bytes()).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(client_of, model, image_file, monkeypatch):
    client = client_of(limits=Limits(seconds=0.3))
    plain = model.test_step
    monkeypatch.setattr(model, 'test_step', lambda batch: time.sleep(1) or plain(batch))
    answer = ask(client, image_file.read_bytes())
    assert answer.status_code == 503 and 'there was no answer within 0.3 s' in sentence(answer)
    monkeypatch.undo()
    time.sleep(1)
    assert ask(client, image_file.read_bytes()).status_code == 200


@pytest.mark.parametrize(('error', 'status', 'part'), [
    (MemoryError('all of it'), 500, 'the server failed at this request (MemoryError)'),
    (RuntimeError('shapes'), 500, '(RuntimeError); its log says more')])
def test_a_fault_is_answered_and_the_server_goes_on(client, model, image_file, monkeypatch, error, status, part):
    def fail(batch):
        raise error
    monkeypatch.setattr(model, 'test_step', fail)
    answer = ask(client, image_file.read_bytes())
    assert answer.status_code == status and part in sentence(answer)
    monkeypatch.undo()
    assert ask(client, image_file.read_bytes()).status_code == 200


def test_health_fails_when_the_network_is_gone(client_of, model):
    client = client_of()
    app = client.app
    service = next(cell.cell_contents for cell in app.app.router.lifespan_context.__wrapped__.__closure__
                   if isinstance(cell.cell_contents, Service))
    service.batcher.close()
    answer = client.get('/health')
    assert answer.status_code == 503 and 'start the server again' in sentence(answer)


def test_tokens(client_of, image_file):
    client = client_of(tokens=('first', 'second'))
    content = image_file.read_bytes()
    for path in ('/', '/health'):
        assert client.get(path).status_code == 200
    for headers in ({}, {'Authorization': 'Bearer third'}, {'Authorization': 'second'}, {'Authorization': 'Bearer '}):
        answer = client.post('/predict', content=content, headers={**PNG, **headers})
        assert answer.status_code == 401 and answer.headers['www-authenticate'] == 'Bearer'
        assert 'this server asks for a token' in sentence(answer)
        assert {client.get(path, headers=headers).status_code for path in ('/classes', '/metrics')} == {401}
    known = {'Authorization': 'Bearer second'}
    assert client.post('/predict', content=content, headers={**PNG, **known}).status_code == 200
    assert client.get('/metrics', headers=known).status_code == 200


def run_app(app, messages):
    """What an application sends to a client that sends `messages` and then hangs up; None waits first."""
    sent, left = [], list(messages)

    async def receive():
        message = left.pop(0) if left else {'type': 'http.disconnect'}
        if message is None:
            await asyncio.sleep(0.2)
            return await receive()
        return message

    async def send(message):
        sent.append(message)
    scope = dict(type='http', asgi={'version': '3.0'}, http_version='1.1', method='POST', path='/predict',
                 raw_path=b'/predict', query_string=b'', root_path='', scheme='http', client=('c', 1),
                 server=('s', 1), headers=[(b'content-type', b'image/png')])
    asyncio.run(app(scope, receive, send))
    return sent[0].get('status') if sent else None


def test_clients_that_hang_up_are_forgotten(client, model, image_file, monkeypatch):
    content = image_file.read_bytes()
    half = dict(type='http.request', body=content[:99], more_body=True)
    whole = dict(type='http.request', body=content, more_body=False)
    plain = model.test_step
    monkeypatch.setattr(model, 'test_step', lambda batch: time.sleep(0.5) or plain(batch))
    assert run_app(client.app, [half]) == 499
    assert run_app(client.app, [whole, None]) == 499
    monkeypatch.undo()
    lines = client.get('/metrics').text.splitlines()
    assert {'mmseg_requests_total{status="499"} 2', 'mmseg_images_in_work 0', 'mmseg_images_total 0'} <= set(lines)


def test_a_client_that_sends_nothing_is_told(client_of):
    client = client_of(limits=Limits(seconds=0.1))
    assert run_app(client.app, [None, dict(type='http.request', body=b'x', more_body=True)]) == 408


def test_images_of_many_clients_go_in_batches(model, image_file):
    async def ask_all(service):
        upload = Upload('a.png', image_file.read_bytes())
        return await asyncio.gather(*(service.predict([upload], 'labels') for _ in range(12)))
    service = Service(model, max_batch=4, max_wait=0.2)
    answers = asyncio.run(ask_all(service))
    assert len({answer.content for (answer,) in answers}) == 1 and service.in_work == 0
    count = next(line for line in service.metrics.text().splitlines() if line.startswith('mmseg_batch_images_count'))
    assert int(count.split()[1]) < 12
    service.close()


def test_another_loader_of_the_config_is_followed(model, image_file):
    """A config that reads grey images gets grey images."""
    cfg = model.cfg.copy()
    cfg.test_pipeline = [dict(type='LoadImageFromFile', color_type='grayscale'), dict(type='PackSegInputs')]
    model_of_grey = type('Grey', (), dict(cfg=cfg, dataset_meta=model.dataset_meta))()
    service = Service(model_of_grey)
    picture, item = service._prepare(Upload('a', image_file.read_bytes()), 'overlay')
    expected = ImagePipeline(cfg)(str(image_file))['inputs']
    assert item['inputs'].shape == (1, HEIGHT, WIDTH) and (item['inputs'] == expected).all()
    assert picture.shape == (HEIGHT, WIDTH, 3)
    service.close()
