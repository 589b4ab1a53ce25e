"""The doors of a server: predictions, a page to try them, health and metrics.

FastAPI reads the annotations of the functions here, among them names that exist only within `make_app`: so this module
does not postpone annotations.
"""
import asyncio
import hmac
import io
import logging
import time
import zipfile
from collections.abc import Coroutine, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Literal

from mmseg.serving.limits import Refused
from mmseg.serving.service import OUTPUTS, Answer, Service
from mmseg.serving.uploads import read_uploads
from mmseg.utils.errors import InputError
from mmseg.version import __version__

PREDICT = '/predict'
DOORS = 'GET /, /health, /classes, /metrics, and POST /predict'
# The page loads nothing from elsewhere, and sends nothing there.
PAGE_HEADERS = {'Content-Security-Policy': "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                                           "img-src blob: data:; connect-src 'self'; base-uri 'none'; "
                                           "form-action 'none'; frame-ancestors 'none'",
                'X-Content-Type-Options': 'nosniff'}
CLIENT_GONE = 499  # nobody reads it; the metrics count it
Output = Literal[tuple(OUTPUTS)]
log = logging.getLogger(__name__)


def make_app(service: Service, tokens: Sequence[str] = (), name: str = 'mmseg'):
    """Make the ASGI application.

    Args:
        service: predicts; closed when the application shuts down.
        tokens: one of which predictions and metrics ask for, as `Authorization: Bearer TOKEN`; empty for none.
        name: of the model, for the page.
    """
    from fastapi import FastAPI, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    @asynccontextmanager
    async def lifespan(_):
        yield
        await asyncio.to_thread(service.close)

    # The interactive pages of FastAPI fetch scripts from elsewhere; /openapi.json describes the doors all the same.
    app = FastAPI(title=f'mmseg serve: {name}', version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    requests = Requests(service.limits.queue)

    def refuse(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse({'error': sentence}, status, headers)

    app.add_exception_handler(Refused, lambda _, error: refuse(error.status, error.sentence, error.headers))
    app.add_exception_handler(HTTPException, lambda request, error: refuse(
        error.status_code, f'{request.method} {request.url.path}: {error.detail}; there are {DOORS}', error.headers))
    app.add_exception_handler(ClientDisconnect, lambda *_: refuse(CLIENT_GONE, 'the client hung up'))
    app.add_exception_handler(RequestValidationError, lambda _, error: refuse(422, _complaint(error)))

    def check_token(request: Request) -> None:
        given = request.headers.get('authorization', '').partition('Bearer ')[2].strip().encode()
        if tokens and not any(hmac.compare_digest(given, token.encode()) for token in tokens):
            raise Refused(401, 'this server asks for a token: send the header "Authorization: Bearer TOKEN"',
                          {'WWW-Authenticate': 'Bearer'})

    @app.get('/', response_class=HTMLResponse)
    async def page():
        return HTMLResponse(resources.files('mmseg.serving').joinpath('page.html').read_text(encoding='utf-8'),
                            headers=PAGE_HEADERS)

    @app.get('/health')
    async def health():
        """200 while the network answers, else 503."""
        if not service.alive:
            return refuse(503, 'the thread of the network has ended: start the server again')
        return {'status': 'ok', 'model': name, 'version': __version__}

    @app.get('/classes')
    async def classes(request: Request):
        """Names and colours of the classes, in the order of the ids."""
        check_token(request)
        return {'classes': list(service.classes), 'palette': [list(map(int, color)) for color in service.palette]}

    @app.get('/metrics')
    async def metrics(request: Request):
        check_token(request)
        return PlainTextResponse(service.metrics.text(), media_type='text/plain; version=0.0.4')

    @app.post(PREDICT, response_class=Response)
    async def predict(request: Request, output: Output = 'labels',
                      opacity: float = 0.5):
        """Label the image that is the body, or the images of a form; several come back as a ZIP archive."""
        check_token(request)
        if not 0 <= opacity <= 1:
            raise Refused(422, f'opacity is a number from 0 to 1, found {opacity}')
        start, seconds = time.monotonic(), service.limits.seconds
        with requests.admit():
            try:
                uploads = await asyncio.wait_for(read_uploads(request, service.limits), seconds)
            except asyncio.TimeoutError:
                raise Refused(408, f'the request was not read to its end within {seconds:g} s: send it faster, or a '
                                   'smaller one', {'Connection': 'close'}) from None
            left = seconds - (time.monotonic() - start)
            answers = await _while_connected(request, service.predict(uploads, output, opacity), left)
            if answers is None:
                return refuse(503, f'there was no answer within {seconds:g} s: try again later, or send less',
                              {'Retry-After': '1'})
        if len(answers) == 1:
            (answer,) = answers
            return Response(answer.content, media_type=answer.media_type)
        return Response(await asyncio.to_thread(_archive, answers), media_type='application/zip')

    return Observed(app, service.metrics)


class Requests:
    """Counts the requests that are being read or answered.

    Args:
        most: how many there may be.
    """

    def __init__(self, most: int):
        self.most, self.now = most, 0

    def admit(self) -> 'Requests':
        if self.now >= self.most:
            raise Refused(503, f'{self.now} requests are in work, expected fewer than {self.most}: try again later',
                          {'Retry-After': '1'})
        return self

    def __enter__(self) -> None:
        self.now += 1

    def __exit__(self, *_) -> None:
        self.now -= 1


class Observed:
    """An application whose predictions are counted and timed.

    Args:
        app: ASGI.
        metrics: of the service.
    """

    def __init__(self, app, metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope, receive, send):
        if scope['type'] != 'http' or scope['path'] != PREDICT:
            await self.app(scope, receive, send)
            return
        status, start = 500, time.perf_counter()

        async def send_and_note(message):
            nonlocal status
            status = message.get('status', status)
            await send(message)
        try:
            await self.app(scope, receive, send_and_note)
        finally:
            self.metrics.count('mmseg_requests_total', f'status="{status}"')
            self.metrics.observe('mmseg_request_seconds', time.perf_counter() - start)


async def _while_connected(request, work: Coroutine, seconds: float) -> list[Answer] | None:
    """Return the result of `work`, None where it takes longer; stop it when the client hangs up.

    Raises:
        Refused: images cannot be used.
        ClientDisconnect: it has hung up.
    """
    from starlette.requests import ClientDisconnect
    working = asyncio.ensure_future(work)
    hanging_up = asyncio.ensure_future(request.receive())  # the body has been read: what comes next is the end
    try:
        done, _ = await asyncio.wait({working, hanging_up}, timeout=max(0, seconds),
                                     return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return None
        if working not in done:
            raise ClientDisconnect
        return working.result()
    except InputError as error:
        raise Refused(422, str(error)) from error
    except (Refused, ClientDisconnect):
        raise
    except Exception as error:
        log.exception('an image could not be predicted')
        raise Refused(500, f'the server failed at this request ({type(error).__name__}); its log says more') from error
    finally:
        working.cancel()
        hanging_up.cancel()


def _complaint(error) -> str:
    """What FastAPI found wrong with the arguments in an address, as a sentence."""
    first = error.errors()[0]
    return f'{first["loc"][-1]}: found {first.get("input")!r}; {first["msg"]}'


def _archive(answers: Sequence[Answer]) -> bytes:
    """Pack files, numbered in their order: images and arrays are compressed as they are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_STORED) as archive:
        for number, answer in enumerate(answers):
            archive.writestr(f'{number:02d}-{Path(answer.name).name}', answer.content)
    return file.getvalue()
