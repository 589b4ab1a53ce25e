"""The page in a real browser, steered through the pipe of its debugging protocol; skipped where there is none."""
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from tests.visualization.report.test_in_browser import BROWSER

pytestmark = pytest.mark.skipif(BROWSER is None, reason='there is no Chromium here')

# Drops a picture that the page draws itself, red above blue, or text under the name of one.
DROP = '''
const drop = async content => {
  const data = new DataTransfer()
  data.items.add(new File([content], 'street.png', {type: 'image/png'}))
  document.body.dispatchEvent(new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer: data}))
}
const picture = () => {
  const canvas = new OffscreenCanvas(64, 48), pen = canvas.getContext('2d')
  pen.fillStyle = 'red'; pen.fillRect(0, 0, 64, 24)
  pen.fillStyle = 'blue'; pen.fillRect(0, 24, 64, 24)
  return canvas.convertToBlob()
}
const until = async condition => { while (!condition()) await new Promise(done => setTimeout(done, 20)) }
const $ = id => document.getElementById(id)
'''


class Browser:
    """A browser that looks at one page."""

    def __init__(self, folder):
        self.number = 0
        (read_orders, self._orders), (self._answers, write_answers) = os.pipe(), os.pipe()
        # The browser reads orders from the file 3 and writes answers into 4.
        self.process = subprocess.Popen(
            ['sh', '-c', f'exec "$@" 3</dev/fd/{read_orders} 4>/dev/fd/{write_answers}', 'sh', BROWSER, '--headless',
             '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe', f'--user-data-dir={folder}',
             '--no-proxy-server', 'about:blank'],
            pass_fds=(read_orders, write_answers), stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(read_orders)
        os.close(write_answers)
        self._alarm = threading.Timer(120, self.kill)
        self._alarm.start()
        self._stream = os.fdopen(self._answers, 'rb')
        self.session = None
        targets = self.order('Target.getTargets')['targetInfos']
        page = next(target['targetId'] for target in targets if target['type'] == 'page')
        self.session = self.order('Target.attachToTarget', targetId=page, flatten=True)['sessionId']

    def order(self, method, **params):
        self.number += 1
        order = dict(id=self.number, method=method, params=params)
        if self.session:
            order['sessionId'] = self.session
        os.write(self._orders, json.dumps(order).encode() + b'\0')
        while True:
            answer = json.loads(self._message())
            if answer.get('id') == self.number:
                assert 'error' not in answer, answer
                return answer['result']

    def _message(self):
        message = bytearray()
        while (letter := self._stream.read(1)) != b'\0':
            assert letter, 'the browser has ended'
            message += letter
        return message

    def run(self, script):
        """Value of an asynchronous function in the page."""
        result = self.order('Runtime.evaluate', expression=f'(async () => {{ {DROP} {script} }})()',
                            awaitPromise=True, returnByValue=True)
        assert 'exceptionDetails' not in result, result
        return result['result'].get('value')

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)

    def close(self):
        self._alarm.cancel()
        self.kill()
        self.process.wait()
        self._stream.close()
        os.close(self._orders)


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / 'profile')
    yield browser
    browser.close()
    shutil.rmtree(tmp_path / 'profile', ignore_errors=True)


@pytest.fixture
def serve(model):
    """A function: tokens → address of a server in a thread."""
    uvicorn = pytest.importorskip('uvicorn')
    from mmseg.serving.app import make_app
    from mmseg.serving.service import Service
    running = []

    def start(*tokens):
        sock = socket.create_server(('127.0.0.1', 0))
        server = uvicorn.Server(uvicorn.Config(make_app(Service(model), tokens, 'tiny'), log_level='warning'))
        thread = threading.Thread(target=server.run, kwargs=dict(sockets=[sock]))
        thread.start()
        running.append((server, thread, sock))
        while not server.started:
            time.sleep(0.05)
        return f'http://127.0.0.1:{sock.getsockname()[1]}/'
    yield start
    for server, thread, sock in running:
        server.should_exit = True
        thread.join()
        sock.close()


def open_page(browser, address):
    browser.order('Page.navigate', url=address)
    end = time.monotonic() + 30
    while browser.run("return document.readyState === 'complete' && location.href") != address:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_dropped_image_is_labelled(browser, serve):
    open_page(browser, serve())
    shown = browser.run('''
        drop(await picture())
        await until(() => $('result').complete && $('result').naturalWidth && $('say').textContent.includes(' ms'))
        return [$('result').naturalWidth, $('result').naturalHeight, $('save').download, $('result').hidden]''')
    assert shown == [64, 48, 'street.jpg', False]
    assert browser.run('await until(() => $("legend").children.length); return [...$("legend").children].map('
                       'item => item.textContent)') == ['0 ground', '1 box', '2 stripe']
    assert browser.run('await until(() => document.title === "tiny"); return $("model").textContent') == 'tiny'
    saved = browser.run('''
        const before = $('save').href
        $('output').value = 'labels'; $('output').onchange()
        await until(() => $('save').href !== before)
        return [$('save').download, $('result').hidden]''')
    assert saved == ['street.png', False]


def test_a_sentence_is_shown_for_what_is_no_image(browser, serve):
    open_page(browser, serve())
    said = browser.run('''
        drop('This is no image.')
        await until(() => $('say').className === 'wrong')
        return [$('say').textContent, $('result').hidden]''')
    assert said[0].startswith('image: found bytes that begin with') and said[1]


def test_the_page_asks_for_a_token(browser, serve):
    open_page(browser, serve('secret'))
    shown = browser.run('''
        await until(() => !$('ask').hidden)
        const asked = $('say').textContent
        drop(await picture())
        await until(() => $('say').className === 'wrong')
        $('token').value = 'secret'; $('token').onchange()
        await until(() => $('result').naturalWidth && $('legend').children.length)
        return [asked, $('result').naturalWidth]''')
    assert 'this server asks for a token' in shown[0] and shown[1] == 64
