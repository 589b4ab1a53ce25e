"""Label pictures that are too large for memory, window by window, from TIFF to TIFF with the georeference kept."""
from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice, product
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING

import numpy as np

from mmseg.apis.inference import inference_model, init_model
from mmseg.utils.errors import InputError

if TYPE_CHECKING:
    from mmseg.models.segmentors.base import BaseSegmentor

# Tags of GeoTIFF: pixel scale, tie points, transformation, keys with their numbers and names.
GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)
CACHED_BYTES = 256 << 20


def _tifffile():
    try:
        import tifffile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('pictures of remote sensing are read with tifffile, which is not installed: '
                                  'pip install tifffile imagecodecs') from error
    return tifffile


class RSImage:
    """A TIFF picture on disk, read and written by windows `[x, y, width, height]` in pixels.

    Args:
        image: its path, or an open data set of GDAL.

    Attributes:
        width, height, channel: its size and the number of its bands.
        grids: windows of :meth:`create_grids`.

    Raises:
        InputError: it cannot be read.
    """

    def __init__(self, image):
        self.path = Path(image if isinstance(image, (str, os.PathLike)) else image.GetDescription())
        try:
            self._file = _tifffile().TiffFile(self.path)
        except OSError as error:
            raise InputError(f'cannot read the image {self.path}: {error.strerror or error}') from error
        except _tifffile().TiffFileError as error:
            raise InputError(f'cannot read the image {self.path}: it is no TIFF ({error}); gdal_translate makes one of '
                             'most formats') from error
        self._page = self._file.pages[0]
        self.width, self.height = self._page.imagewidth, self._page.imagelength
        self.channel = self._page.samplesperpixel
        self.grids: list[list[int]] = []
        self._labels = None
        self._lock = threading.Lock()
        wide, tall = self._segment_size
        size = wide * tall * self.channel * self._page.dtype.itemsize
        self._segment = functools.lru_cache(max(1, CACHED_BYTES // size))(self._read_segment)

    @property
    def _segment_size(self) -> tuple[int, int]:
        """Width and height of the pieces, tiles or strips, in which the file is stored."""
        page = self._page
        return (page.tilewidth, page.tilelength) if page.is_tiled else (self.width, min(page.rowsperstrip, self.height))

    def read(self, grid: list[int] | None = None) -> np.ndarray:
        """Read a window, or everything: (H, W, C) in the order of the bands in the file."""
        x, y, width, height = (grid or [0, 0, self.width, self.height])[:4]
        wide, tall = self._segment_size
        across, down = -(-self.width // wide), -(-self.height // tall)
        separate = self._page.planarconfig == 2
        picture = np.zeros((height, width, self.channel), self._page.dtype)
        pieces = product(range(y // tall, -(-(y + height) // tall)), range(x // wide, -(-(x + width) // wide)))
        for (row, column), band in product(pieces, range(self.channel) if separate else [slice(None)]):
            plane = band * across * down if separate else 0
            segment = self._segment(plane + row * across + column)
            top, left = row * tall - y, column * wide - x
            if segment is None:  # left out of the file: nothing but zeros
                continue
            part = segment[max(0, -top):height - top, max(0, -left):width - left]
            rows, columns = slice(max(0, top), None), slice(max(0, left), None)
            target = picture[rows, columns, band][:len(part), :part.shape[1]]
            target[...] = part[..., 0] if separate else part
        return picture

    def _read_segment(self, index: int) -> np.ndarray | None:
        page = self._page
        if not page.databytecounts[index]:
            return None
        with self._lock:
            self._file.filehandle.seek(page.dataoffsets[index])
            content = self._file.filehandle.read(page.databytecounts[index])
        segment, _, (_, height, width, _) = page.decode(content, index, jpegtables=page.jpegtables)
        return segment[0, :height, :width]

    def create_grids(self, window_size: tuple[int, int], stride: tuple[int, int] = (0, 0)) -> None:
        """List windows that cover the picture in `grids`, row by row.

        Each is `[x, y, width, height, crop_x, crop_y, crop_width, crop_height]`; the crops, inside the windows, cover
        every pixel once and meet in the middle of overlaps.

        Args:
            window_size: width and height.
            stride: pixels from one to the next in x and y; 0 is the window's size.
        """
        columns, rows = (list(_spans(length, window, step or window)) for length, window, step in zip(
            (self.width, self.height), window_size, stride))
        self.grids = [[x, y, width, height, crop_x, crop_y, crop_width, crop_height]
                      for y, height, crop_y, crop_height in rows for x, width, crop_x, crop_width in columns]

    def create_seg_map(self, output_path: str | None = None) -> RSImage:
        """Make a TIFF of 8 bits for labels, of this size and georeference, and return it open for :meth:`write`.

        Args:
            output_path: where; beside this picture, as `NAME_label.tif`, by default.
        """
        output_path = output_path or self.path.with_name(f'{self.path.stem}_label.tif')
        tags = [(code, tag.dtype, tag.count, tag.value, True) for code in GEO_TAGS
                if (tag := self._page.tags.get(code)) is not None]
        shape = (self.height, self.width)
        labels = _tifffile().memmap(output_path, shape=shape, dtype=np.uint8, extratags=tags, metadata=None)
        labels.flush()
        made = RSImage(output_path)
        made._labels = labels
        return made

    def write(self, data: np.ndarray, grid: list[int] | None = None) -> None:
        """Write labels (H, W): those of a whole picture, or the crop of a window of `grids`.

        Raises:
            InputError: this picture was not made by :meth:`create_seg_map`.
        """
        if self._labels is None:
            raise InputError(f'{self.path} is open for reading: write into what create_seg_map() returns')
        x, y, _, _, crop_x, crop_y, width, height = grid or [0, 0, 0, 0, 0, 0, self.width, self.height]
        top, left = y + crop_y, x + crop_x
        self._labels[top:top + height, left:left + width] = data[crop_y:crop_y + height, crop_x:crop_x + width]

    def close(self) -> None:
        """Finish the file."""
        if self._labels is not None:
            self._labels.flush()
        self._file.close()


def _spans(length: int, window: int, stride: int) -> Iterator[tuple[int, int, int, int]]:
    """Cover an axis by windows: yield start, size, and start (in the window) and size of the part that counts."""
    if not 0 < stride <= window:
        raise InputError(f'windows need 0 < stride <= window size, or pixels are left out; found {stride} and {window}')
    window = min(window, length)
    starts = [*range(0, length - window, stride), length - window]
    cuts = [0, *((left + window + right) // 2 for left, right in zip(starts, starts[1:])), length]
    for start, begin, end in zip(starts, cuts, cuts[1:]):
        yield start, window, begin - start, end - begin


class RSInferencer:
    """Labels pictures window by window; reading, the network and writing go on side by side.

    >>> inferencer = RSInferencer.from_config_path(config, checkpoint, batch_size=4, device='cuda:0')
    >>> inferencer.run(RSImage('scene.tif'), window_size=(512, 512), strides=(384, 384), output_path='labels.tif')

    Args:
        model: from `init_model`.
        batch_size: windows that go through the network together.
        thread: threads that read.
    """

    END = object()

    def __init__(self, model: BaseSegmentor, batch_size: int = 1, thread: int = 1):
        self.model, self.batch_size, self.thread = model, batch_size, thread
        self.read_buffer: Queue = Queue(2 * batch_size)
        self.write_buffer: Queue = Queue(2 * batch_size)
        self._failed = threading.Event()

    @classmethod
    def from_config_path(cls, config_path: str, checkpoint_path: str, batch_size: int = 1, thread: int = 1,
                         device: str | None = 'cpu') -> RSInferencer:
        """Build the model of a config and load its weights."""
        return cls(init_model(config_path, checkpoint_path, device or 'cpu'), batch_size, thread)

    @classmethod
    def from_model(cls, model: BaseSegmentor, checkpoint_path: str | None = None, batch_size: int = 1, thread: int = 1,
                   device: str | None = 'cpu') -> RSInferencer:
        """Take a model as it is, or with the weights of a checkpoint."""
        from mmseg.utils.checkpoint import load_weights
        if checkpoint_path is not None:
            load_weights(model, checkpoint_path)
        return cls(model.to(device or 'cpu'), batch_size, thread)

    def read(self, image: RSImage, window_size: tuple[int, int], strides: tuple[int, int] = (0, 0)) -> None:
        """Put every window of a picture, and then the end, into `read_buffer`."""
        def work() -> None:
            for grid in grids:  # one iterator for all threads
                if self._failed.is_set():
                    return
                self.read_buffer.put((grid, image.read(grid)))
        try:
            image.create_grids(window_size, strides)
            grids = iter(image.grids)
            with ThreadPoolExecutor(self.thread) as pool:
                for done in [pool.submit(work) for _ in range(self.thread)]:
                    done.result()
        finally:
            self.read_buffer.put(self.END)

    def inference(self) -> None:
        """Take windows from `read_buffer` and put their labels, and then the end, into `write_buffer`."""
        with self._until_the_end(self.read_buffer) as arriving:
            while not self._failed.is_set() and (batch := list(islice(arriving, self.batch_size))):
                samples = inference_model(self.model, [window for _, window in batch])
                for (grid, _), sample in zip(batch, samples):
                    self.write_buffer.put((grid, sample.pred_sem_seg.data[0].cpu().numpy()))

    def write(self, image: RSImage, output_path: str | None = None) -> None:
        """Write what comes into `write_buffer` to the label map of a picture."""
        with self._until_the_end(self.write_buffer) as arriving:
            labels = image.create_seg_map(output_path)
            for grid, window in arriving:
                labels.write(window, grid)
            labels.close()

    @contextmanager
    def _until_the_end(self, buffer: Queue) -> Iterator[Iterator]:
        """Give what arrives in a buffer; after a failure empty it, so that whoever fills it does not wait for ever."""
        arriving = iter(buffer.get, self.END)
        try:
            yield arriving
        except BaseException:
            self._failed.set()
            raise
        finally:
            for _ in arriving:
                pass
            if buffer is self.read_buffer:
                self.write_buffer.put(self.END)

    def run(self, image: RSImage, window_size: tuple[int, int], strides: tuple[int, int] = (0, 0),
            output_path: str | None = None) -> None:
        """Label a picture.

        Args:
            image: the picture.
            window_size: width and height of the windows.
            strides: from one window to the next in x and y; 0 is the window's size.
            output_path: of the label map; beside the picture, as `NAME_label.tif`, by default.
        """
        self._failed.clear()
        with ThreadPoolExecutor(2) as pool:
            reading = pool.submit(self.read, image, window_size, strides)
            writing = pool.submit(self.write, image, output_path)
            self.inference()
            reading.result()
            writing.result()
