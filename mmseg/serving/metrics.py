"""Counters in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
from __future__ import annotations

import sys
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

COUNTERS = {
    'mmseg_requests_total': 'requests for predictions by the status of their answer',
    'mmseg_images_total': 'images predicted',
}
HISTOGRAMS = {
    'mmseg_request_seconds': ('seconds from the first byte of a request to the end of its answer',
                              (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)),
    'mmseg_batch_images': ('images that went through the network together', (1, 2, 4, 8, 16, 32)),
}


class Metrics:
    """Counts and measures; every thread may.

    Args:
        gauges: name → (what it is, function that reads it).
    """

    def __init__(self, gauges: dict[str, tuple[str, Callable[[], float]]]):
        self.gauges = gauges
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, int]] = {name: defaultdict(int) for name in COUNTERS}
        self._buckets = {name: [0] * (len(bounds) + 1) for name, (_, bounds) in HISTOGRAMS.items()}
        self._sums = dict.fromkeys(HISTOGRAMS, 0.0)

    def count(self, name: str, labels: str = '', amount: int = 1) -> None:
        """Add to a counter; `labels` as they are printed: `status="200"`."""
        with self._lock:
            self._counts[name][labels] += amount

    def observe(self, name: str, value: float) -> None:
        """Add a value to a histogram."""
        with self._lock:
            self._buckets[name][bisect_left(HISTOGRAMS[name][1], value)] += 1
            self._sums[name] += value

    def text(self) -> str:
        with self._lock:
            lines = [line for name, help_ in COUNTERS.items() for line in self._counter(name, help_)]
            lines += [line for name, (help_, bounds) in HISTOGRAMS.items()
                      for line in self._histogram(name, help_, bounds)]
        for name, (help_, read) in self.gauges.items():
            lines += [*_head(name, 'gauge', help_), f'{name} {read():g}']
        return '\n'.join(lines) + '\n'

    def _counter(self, name: str, help_: str) -> list[str]:
        values = self._counts[name] or {'': 0}
        return [*_head(name, 'counter', help_),
                *(f'{name}{{{labels}}} {value}' if labels else f'{name} {value}' for labels, value in values.items())]

    def _histogram(self, name: str, help_: str, bounds: tuple[float, ...]) -> list[str]:
        lines, total = _head(name, 'histogram', help_), 0
        for bound, count in zip((*map('{:g}'.format, bounds), '+Inf'), self._buckets[name]):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f'{name}_sum {self._sums[name]:g}', f'{name}_count {total}']


def _head(name: str, kind: str, help_: str) -> list[str]:
    return [f'# HELP {name} {help_}', f'# TYPE {name} {kind}']


def resident_bytes() -> float:
    """Memory that the process holds now; its peak where the system does not tell."""
    try:
        status = Path('/proc/self/status').read_text(encoding='ascii', errors='replace')
        return float(status.partition('VmRSS:')[2].split()[0]) * 1024
    except (OSError, IndexError):
        import resource
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(peak if sys.platform == 'darwin' else peak * 1024)
