"""A socket that is surely ours, and uvicorn on it."""
from __future__ import annotations

import errno
import socket
from importlib.util import find_spec

from mmseg.utils.errors import InputError

PACKAGES = {'fastapi': 'fastapi', 'uvicorn': 'uvicorn', 'python_multipart': 'python-multipart'}
SHUTDOWN_SECONDS = 10


def require_packages() -> None:
    """Check that what a server needs is installed.

    Raises:
        InputError: it is not; names the packages.
    """
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise InputError(f'serving needs {", ".join(missing)}: pip install '
                         f"'mmsegmentation[serve]' (or pip install {' '.join(missing)})")


def listen(host: str, port: int) -> socket.socket:
    """Take a port, 0 for any that is free, before anything slow begins.

    Raises:
        InputError: it cannot be had.
    """
    if not 0 <= port < 1 << 16:  # the system would take what is left of a larger one in 16 bits
        raise InputError(f'a port is a number from 0 to 65535, found {port}')
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(_why_not(host, port, error)) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen()  # only this makes it ours; clients that come early wait until the model is there
    except OSError as error:
        sock.close()
        raise InputError(_why_not(host, port, error)) from error
    return sock


def _why_not(host: str, port: int, error: OSError) -> str:
    code = error.errno
    if code == errno.EADDRINUSE:
        return f'port {port} of {host} is in use: stop what runs there, or choose another with --port'
    if code == errno.EACCES:
        return f'port {port} is kept for the system: choose one from 1024 with --port'
    if code == errno.EADDRNOTAVAIL:
        return f'{host} is no address of this machine: choose another with --host'
    return f'cannot listen on {host}, port {port}: {error.strerror or error}'


def is_loopback(sock: socket.socket) -> bool:
    """Whether only this machine can reach a socket."""
    host = sock.getsockname()[0]
    return host == '::1' or host.startswith('127.')


def url_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f'http://[{host}]:{port}' if ':' in host else f'http://{host}:{port}'


def run(app, sock: socket.socket, ready: str) -> None:
    """Serve until the process is told to stop; says `ready` once requests are answered."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets=None) -> None:
            await super().startup(sockets)
            print(ready, flush=True)

    Server(uvicorn.Config(app, log_level='warning', access_log=False, server_header=False,
                          timeout_graceful_shutdown=SHUTDOWN_SECONDS)).run(sockets=[sock])
