"""What was found in a split, added up: it grows with the number of problems that are named, not with the pixels."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from mmseg.datasets.doctor.reading import Bands, Finding


@dataclass
class Listed:
    """How often something occurred, and the first sentences about it."""

    count: int = 0
    sentences: list[str] = field(default_factory=list)

    def add(self, sentence: str, most: int) -> None:
        self.count += 1
        if len(self.sentences) < most:
            self.sentences.append(sentence)


class BandStatistics:
    """Mean and standard deviation of each band over many images, which are joined exactly (Chan et al., 1979)."""

    def __init__(self) -> None:
        self.pixels = 0
        self.mean = self.deviation = np.zeros(0)
        self.lowest, self.highest = np.inf, -np.inf
        self.dtypes: Counter[str] = Counter()

    def add(self, bands: Bands) -> bool:
        """Add an image; False where it has another number of bands than those before."""
        if self.pixels and len(bands.mean) != len(self.mean):
            return False
        if not self.pixels:
            self.mean, self.deviation = np.zeros_like(bands.mean), np.zeros_like(bands.mean)
        total = self.pixels + bands.pixels
        step = bands.mean - self.mean
        self.mean = self.mean + step * (bands.pixels / total)
        self.deviation = self.deviation + bands.deviation + step**2 * (self.pixels * bands.pixels / total)
        self.pixels = total
        self.lowest, self.highest = min(self.lowest, bands.lowest), max(self.highest, bands.highest)
        self.dtypes[bands.dtype] += 1
        return True

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(self.deviation / max(self.pixels, 1))


class Summary:
    """What a split holds.

    Args:
        name: of the split.
        classes: their names; may be empty.
        most: how many sentences to keep of each kind of problem.
    """

    def __init__(self, name: str, classes: tuple[str, ...], ignore_index: int, most: int):
        self.name, self.classes, self.ignore_index, self.most = name, classes, ignore_index, most
        self.images = self.labelled_images = self.ignored = 0
        self.pixels, self.pixels_around, self.images_with = (np.zeros(len(classes), np.int64) for _ in range(3))
        self.values: Counter[int] = Counter()
        self.sizes: Counter[tuple[int, ...]] = Counter()
        self.bands = BandStatistics()
        self.problems: dict[str, Listed] = {}

    def note(self, kind: str, sentence: str) -> None:
        self.problems.setdefault(kind, Listed()).add(sentence, self.most)

    def add(self, finding: Finding) -> None:
        self.images += 1
        for kind, sentence in finding.problems:
            self.note(kind, sentence)
        if finding.size is not None:
            self.sizes[tuple(finding.size)] += 1
        if finding.bands is not None and not self.bands.add(finding.bands):
            self.note('other bands', f'{finding.name}: {len(finding.bands.mean)} bands, the images before it have '
                                     f'{len(self.bands.mean)}')
        if finding.labels is not None:
            self._add_labels(finding.values, finding.labels, finding.counts)

    def _add_labels(self, values: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> None:
        self.labelled_images += 1
        self.values.update(dict(zip(values.tolist(), counts.tolist())))
        self.ignored += int(counts[labels == self.ignore_index].sum())
        inside = (labels >= 0) & (labels < len(self.classes)) & (labels != self.ignore_index)
        pixels = np.bincount(labels[inside], counts[inside], minlength=len(self.classes)).astype(np.int64)
        self.pixels += pixels
        self.pixels_around[pixels > 0] += pixels.sum()
        self.images_with += pixels > 0

    @property
    def label_pixels(self) -> int:
        return sum(self.values.values())

    @property
    def ignored_share(self) -> float:
        return self.ignored / max(self.label_pixels, 1)


class Copies:
    """Finds images of equal pixels, by the eight bytes of their digests."""

    def __init__(self) -> None:
        self._first: dict[bytes, tuple[int, str]] = {}
        self._splits: list[str] = []

    def find(self, split: str, finding: Finding) -> tuple[str, str] | None:
        """Return split and name of the first image that looks the same, if there is one."""
        if not finding.digest:
            return None
        if split not in self._splits:
            self._splits.append(split)
        number, name = self._first.setdefault(finding.digest, (self._splits.index(split), finding.name))
        return None if (name, self._splits[number]) == (finding.name, split) else (self._splits[number], name)
