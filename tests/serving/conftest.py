"""A service and its application around the tiny network."""
import warnings

import pytest

from tests.cli.tiny import project

__all__ = ['project']


@pytest.fixture(scope='session')
def model(project):
    from mmseg.apis import init_model
    return init_model(project, str(project.with_suffix('.pth')), 'cpu')


@pytest.fixture(scope='session')
def image_file(project):
    return project.parent / 'data' / 'images' / 'part' / '0.png'


@pytest.fixture
def client_of(model):
    """A function: options of `Service`, and tokens → a client of an application with its own service."""
    pytest.importorskip('fastapi', reason='pip install fastapi uvicorn python-multipart')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # which HTTP library it prefers
        testclient = pytest.importorskip('starlette.testclient', reason='pip install httpx')
    from mmseg.serving.app import make_app
    from mmseg.serving.service import Service
    open_clients = []

    def make(tokens=(), **options):
        client = testclient.TestClient(make_app(Service(model, **options), tokens, 'tiny'))
        open_clients.append(client.__enter__())
        return client
    yield make
    for client in open_clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(client_of):
    return client_of()
