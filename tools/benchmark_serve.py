"""Load `mmseg serve` with clients that ask without a pause, and print throughput, times, memory and what failed.

    python tools/benchmark_serve.py CONFIG CHECKPOINT --image street.jpg
    python tools/benchmark_serve.py CONFIG CHECKPOINT --image street.jpg --broken 0.33
    python tools/benchmark_serve.py --url http://127.0.0.1:8000 --image street.jpg --clients 16 --seconds 60

With CONFIG and CHECKPOINT a server is started for it. `--broken` is the share of requests that no server should take:
truncated images, 1x1, 20000x20000, text, other types, and clients that hang up. The exit status is 1 where an image was
not answered, or something broken not refused with a sentence.
"""
from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
HANG_UP = 'hangs up'


def png(width: int, height: int, pixels: bytes | None = None) -> bytes:
    """A PNG file: RGB of `pixels`, or black in one bit a pixel."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))
    depth, color, line = (8, 2, 3 * width) if pixels else (1, 0, (width + 7) // 8)
    packer = zlib.compressobj(1)
    packed = [packer.compress(b'\0' + (pixels[row * line:][:line] if pixels else bytes(line)))
              for row in range(height)]
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, 0))
            + chunk(b'IDAT', b''.join(packed) + packer.flush()) + chunk(b'IEND', b''))


def broken_requests(image: bytes) -> dict[str, tuple[str, bytes]]:
    """Media type and body of requests that a server has to refuse."""
    return {
        'truncated': ('image/png', image[:len(image) // 2]),
        '1x1': ('image/png', png(1, 1)),
        '20000x20000': ('image/png', png(20000, 20000)),
        'text': ('image/png', b'This is no image at all.\n' * 40),
        'wrong type': ('application/pdf', b'%PDF-1.7\n'),
        HANG_UP: ('image/png', image),
    }


class Load:
    """Clients that ask until time is up.

    Args:
        address: host and port.
        image: what they send.
        broken: share of broken requests.
        token: for a server that asks for one.
    """

    def __init__(self, address: tuple[str, int], image: bytes, broken: float, token: str | None):
        self.address, self.image, self.share = address, image, broken
        self.headers = {'Authorization': f'Bearer {token}'} if token else {}
        self.broken = broken_requests(image) if broken else {}
        self.seconds: list[float] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.failures: list[str] = []
        self.memory: list[float] = []
        self._lock = threading.Lock()
        self._kinds = cycle(self.broken)

    def run(self, clients: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._client, args=(number, end)) for number in range(clients)]
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            self.memory.append(self.memory_of_server())
            time.sleep(min(1, max(0, end - time.monotonic())))
        for thread in threads:
            thread.join()

    def ask(self, method: str, path: str, body: bytes | None = None, connection=None, **headers) -> tuple[int, bytes]:
        connection = connection or http.client.HTTPConnection(*self.address, timeout=120)
        connection.request(method, path, body, {**self.headers, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def memory_of_server(self) -> float:
        """In MiB."""
        found = re.search(r'^process_resident_memory_bytes (\S+)', self.ask('GET', '/metrics')[1].decode(), re.M)
        return float(found[1]) / 2**20

    def _client(self, number: int, end: float) -> None:
        draw = random.Random(number)
        connection = http.client.HTTPConnection(*self.address, timeout=120)
        while time.monotonic() < end:
            kind = next(self._kinds) if draw.random() < self.share else 'image'
            try:
                if kind == HANG_UP:
                    self._hang_up(draw.random() < 0.5)
                    self._note(kind, 'nobody waits')
                else:
                    self._ask_and_note(kind, connection)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._note(kind, type(error).__name__, failed=True)

    def _ask_and_note(self, kind: str, connection) -> None:
        media_type, body = self.broken.get(kind, ('image/png', self.image))
        start = time.perf_counter()
        status, answer = self.ask('POST', '/predict', body, connection, **{'Content-Type': media_type})
        seconds = time.perf_counter() - start
        if kind == 'image':
            good = status == 200 and answer.startswith(b'\x89PNG')
        else:
            good = 400 <= status < 500 and len(json.loads(answer)['error'].split()) > 3
        self._note(kind, str(status), seconds if kind == 'image' else None, failed=not good)

    def _hang_up(self, halfway: bool) -> None:
        """Send an image, or half of it, and be gone before the answer."""
        with socket.create_connection(self.address, timeout=60) as sock:
            head = (f'POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: image/png\r\n'
                    f'Content-Length: {len(self.image)}\r\n')
            head += ''.join(f'{name}: {value}\r\n' for name, value in self.headers.items())
            sock.sendall(f'{head}\r\n'.encode() + self.image[:len(self.image) // 2 if halfway else None])

    def _note(self, kind: str, outcome: str, seconds: float | None = None, failed: bool = False) -> None:
        with self._lock:
            self.outcomes[kind, outcome] += 1
            self.seconds += [] if seconds is None else [seconds]
            self.failures += [f'{kind}: {outcome}'] if failed else []

    def report(self, clients: int, elapsed: float) -> None:
        print(f'{clients} clients, {elapsed:.0f} s: {sum(self.outcomes.values())} requests, '
              f'{len(self.seconds) / elapsed:.1f} images/s, {len(self.failures)} failed')
        if len(self.seconds) > 1:
            cuts = statistics.quantiles(self.seconds, n=100, method='inclusive')
            print(f'an image: p50 {cuts[49] * 1e3:.0f} ms, p99 {cuts[98] * 1e3:.0f} ms, '
                  f'slowest {max(self.seconds) * 1e3:.0f} ms')
        quarter = max(1, len(self.memory) // 4)
        parts = [statistics.median(self.memory[i * quarter:(i + 1) * quarter] or self.memory) for i in range(4)]
        print(f'memory of the server by quarters of the time: {", ".join(f"{part:.0f}" for part in parts)} MiB')
        for (kind, outcome), count in sorted(self.outcomes.items()):
            print(f'    {kind}: {outcome}, {count} times')
        for failure, count in Counter(self.failures).most_common(5):
            print(f'FAILED {count} times: {failure}', file=sys.stderr)


@contextmanager
def server(args: argparse.Namespace):
    """Address of the server to load; of one that runs as long as this, where none is given."""
    if args.url:
        parts = urlsplit(args.url)
        yield parts.hostname, parts.port or 80
        return
    command = [sys.executable, '-m', 'mmseg.cli', 'serve', args.config, args.checkpoint, '--port', '0', *args.options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        found = next((found for line in process.stdout if (found := re.search(r'http://([\d.]+):(\d+)', line))), None)
        if found is None:
            sys.exit('the server did not start')
        yield found[1], int(found[2])
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?')
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--url', help='of a server that runs already')
    parser.add_argument('--image', help='what the clients send, a PNG file (512x512 of noise)')
    parser.add_argument('--clients', type=int, default=16)
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--broken', type=float, default=0, metavar='0…1', help='share of broken requests (0)')
    parser.add_argument('--token')
    parser.epilog = 'What follows -- are options of mmseg serve.'
    end = sys.argv.index('--') if '--' in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:end])
    args.options = sys.argv[end + 1:]
    if not args.url and not args.checkpoint:
        parser.error('give CONFIG and CHECKPOINT, or --url')
    image = Path(args.image).read_bytes() if args.image else png(512, 512, random.Random(0).randbytes(512 * 512 * 3))
    with server(args) as address:
        load = Load(address, image, args.broken, args.token)
        load.ask('POST', '/predict', image, **{'Content-Type': 'image/png'})
        start = time.monotonic()
        load.run(args.clients, args.seconds)
        load.report(args.clients, time.monotonic() - start)
        alive = load.ask('GET', '/health')[0] == 200
    print('the server is alive' if alive else 'the server is dead')
    return int(bool(load.failures) or not alive or not load.seconds)


if __name__ == '__main__':
    sys.exit(main())
