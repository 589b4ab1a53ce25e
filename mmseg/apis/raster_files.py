"""Rasters on disk, read and written by windows through tifffile or rasterio, whichever can; never held as a whole."""
from __future__ import annotations

import functools
import os
import shutil
import threading
from itertools import product
from pathlib import Path

import numpy as np

from mmseg.utils.errors import InputError

# Tags of GeoTIFF: pixel scale, tie points, transformation, keys with their numbers and names.
GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)
# Decoded tiles or strips that are kept, since a window needs those that its neighbour has just used.
CACHED_BYTES = 256 << 20
ROWS_OF_A_STRIP = 128


def open_raster(path: Path):
    """Open a raster for reading: a :class:`TiffSource` or, for other formats and codecs, a :class:`RasterioSource`.

    Raises:
        InputError: there is none, or nothing that is installed reads it.
        ModuleNotFoundError: neither tifffile nor rasterio is installed.
    """
    tifffile, rasterio = _installed('tifffile'), _installed('rasterio')
    if tifffile is None and rasterio is None:
        raise ModuleNotFoundError('rasters are read with tifffile or rasterio, and neither is installed: '
                                  'pip install tifffile, or pip install rasterio for every format that GDAL knows')
    reason = 'tifffile is not installed'
    if tifffile is not None:
        try:
            return TiffSource(path)
        except OSError as error:
            raise InputError(f'cannot read the raster {path}: {error.strerror or error}') from error
        except tifffile.TiffFileError as error:
            reason = f'it is no TIFF ({error})'
        except KeyError as error:
            reason = str(error.args[0])
    if rasterio is None:
        raise InputError(f'cannot read the raster {path}: {reason}; pip install imagecodecs rasterio, or turn it into '
                         'a plain TIFF: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE')
    try:
        return RasterioSource(path)
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f'cannot read the raster {path}: {error}') from error


def _installed(name: str):
    """Import a package that may be missing; None where it is."""
    try:
        return __import__(name)
    except ModuleNotFoundError:
        return None


class TiffSource:
    """A TIFF file in tiles or strips, opened with tifffile.

    Attributes:
        width, height, bands, dtype: what it holds.
        colors: whether its bands are red, green, blue and, perhaps, more.

    Raises:
        KeyError: its compression needs a package that is not installed.
    """

    def __init__(self, path: Path):
        import tifffile
        self._file = tifffile.TiffFile(path)
        self._page = page = self._file.pages[0]
        self.width, self.height, self.bands = page.imagewidth, page.imagelength, page.samplesperpixel
        self.dtype = page.dtype
        self.colors = page.photometric == tifffile.PHOTOMETRIC.RGB or page.photometric == tifffile.PHOTOMETRIC.YCBCR
        tifffile.TIFF.DECOMPRESSORS[page.compression]
        tifffile.TIFF.UNPREDICTORS[page.predictor]
        self._lock = threading.Lock()
        self._separate = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        self._wide, self._tall = ((page.tilewidth, page.tilelength) if page.is_tiled else
                                  (self.width, min(page.rowsperstrip, self.height)))
        in_segment = 1 if self._separate else self.bands
        size = self._wide * self._tall * in_segment * self.dtype.itemsize
        self._plain = (page.compression == page.predictor == 1 and not page.is_tiled
                       and page.bitspersample == 8 * self.dtype.itemsize)
        if not self._plain and size > 4 * CACHED_BYTES:
            raise InputError(f'the raster {path} is compressed in pieces of {size >> 20} MiB, so no window of it can '
                             'be read alone: gdal_translate -co TILED=YES makes one of small pieces')
        self._segment = functools.lru_cache(max(1, CACHED_BYTES // size))(self._read_segment)

    def read(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Read a window, (height, width, bands)."""
        picture = np.zeros((height, width, self.bands), self.dtype)
        for band in range(self.bands) if self._separate else [slice(None)]:
            part = picture[..., band] if self._separate else picture
            plane = band if self._separate else 0
            (self._read_rows if self._plain else self._read_segments)(part, plane, x, y)
        return picture

    def _read_rows(self, target: np.ndarray, plane: int, x: int, y: int) -> None:
        """Read no byte but those of the window, row by row, from strips that are not compressed."""
        page = self._page
        stored = self.dtype.newbyteorder(self._file.byteorder)
        pixel = self.dtype.itemsize * (1 if self._separate else self.bands)
        strips = -(-self.height // self._tall)
        for row in range(len(target)):
            strip, inside = divmod(y + row, self._tall)
            place = plane * strips + strip
            if not page.databytecounts[place]:  # left out of the file: nothing but zeros
                continue
            content = self._bytes(page.dataoffsets[place] + (inside * self.width + x) * pixel, target.shape[1] * pixel)
            target[row] = np.frombuffer(content, stored).reshape(target.shape[1:])

    def _read_segments(self, target: np.ndarray, plane: int, x: int, y: int) -> None:
        wide, tall = self._wide, self._tall
        height, width = target.shape[:2]
        across, down = -(-self.width // wide), -(-self.height // tall)
        rows, columns = range(y // tall, -(-(y + height) // tall)), range(x // wide, -(-(x + width) // wide))
        for row, column in product(rows, columns):
            segment = self._segment((plane * down + row) * across + column)
            if segment is None:
                continue
            top, left = row * tall - y, column * wide - x
            part = segment[max(0, -top):height - top, max(0, -left):width - left]
            place = target[max(0, top):, max(0, left):][:len(part), :part.shape[1]]
            place[...] = part[..., 0] if self._separate else part

    def _read_segment(self, index: int) -> np.ndarray | None:
        """Decode a tile or strip, (height, width, bands); None where the file leaves it out."""
        page = self._page
        if not page.databytecounts[index]:
            return None
        content = self._bytes(page.dataoffsets[index], page.databytecounts[index])
        segment, _, (_, height, width, _) = page.decode(content, index, jpegtables=page.jpegtables)
        return segment[0, :height, :width]

    def _bytes(self, offset: int, count: int) -> bytes:
        with self._lock:
            self._file.filehandle.seek(offset)
            return self._file.filehandle.read(count)

    def new_labels(self, path: Path, dtype: np.dtype) -> LabelFile:
        """Make a label map of this size and georeference."""
        tags = [(code, tag.dtype, tag.count, tag.value, True) for code in GEO_TAGS
                if (tag := self._page.tags.get(code)) is not None]
        return LabelFile.create(path, (self.height, self.width), dtype, tags)

    def open_labels(self, path: Path) -> LabelFile:
        """Open a label map that :meth:`new_labels` has made, to go on writing."""
        return LabelFile(path)

    def close(self) -> None:
        self._file.close()


class LabelFile:
    """A label map as a TIFF, BigTIFF where it is large, whose pixels lie row after row and are written in place."""

    def __init__(self, path: Path):
        import tifffile
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            self.shape, self.dtype = (page.imagelength, page.imagewidth), page.dtype.newbyteorder(file.byteorder)
            self._start = page.dataoffsets[0]
        self._file = open(path, 'r+b')  # noqa: SIM115  (close() closes it)

    @classmethod
    def create(cls, path: Path, shape: tuple[int, int], dtype: np.dtype, tags: list[tuple]) -> LabelFile:
        import tifffile
        tifffile.imwrite(path, shape=shape, dtype=dtype, photometric='minisblack', rowsperstrip=ROWS_OF_A_STRIP,
                         extratags=tags, metadata=None)
        return cls(path)

    def write(self, labels: np.ndarray, x: int, y: int) -> None:
        """Write labels (height, width) with their upper left corner at a pixel."""
        labels = np.ascontiguousarray(labels, self.dtype)
        whole = labels.shape[1] == self.shape[1]
        for row, content in enumerate([labels] if whole else labels):
            self._file.seek(self._start + ((y + row) * self.shape[1] + x) * self.dtype.itemsize)
            self._file.write(content.data)

    def flush(self) -> None:
        """See what was written onto the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class RasterioSource:
    """A raster of any format of GDAL, opened with rasterio; attributes as those of :class:`TiffSource`."""

    def __init__(self, path: Path):
        import rasterio
        self._data = rasterio.open(path)
        self.width, self.height, self.bands = self._data.width, self._data.height, self._data.count
        self.dtype = np.dtype(self._data.dtypes[0])
        self.colors = self._data.colorinterp[0] == rasterio.enums.ColorInterp.red
        self._lock = threading.Lock()

    def read(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Read a window, (height, width, bands)."""
        with self._lock:
            bands = self._data.read(window=((y, y + height), (x, x + width)))
        return np.ascontiguousarray(np.moveaxis(bands, 0, -1))

    def new_labels(self, path: Path, dtype: np.dtype) -> RasterioLabels:
        """Make a label map of this size and georeference."""
        import rasterio
        place = {} if self._data.transform.is_identity else dict(transform=self._data.transform)
        with rasterio.open(path, 'w', driver='GTiff', width=self.width, height=self.height, count=1, dtype=dtype,
                           crs=self._data.crs, bigtiff='IF_SAFER', sparse_ok=True, **place):
            pass
        return RasterioLabels(path)

    def open_labels(self, path: Path) -> RasterioLabels:
        """Open a label map that :meth:`new_labels` has made, to go on writing."""
        return RasterioLabels(path)

    def close(self) -> None:
        self._data.close()


class RasterioLabels:
    """A label map that rasterio writes; as :class:`LabelFile`."""

    def __init__(self, path: Path):
        self._path = path
        self._open()

    def _open(self) -> None:
        import rasterio
        self._data = rasterio.open(self._path, 'r+')
        self.shape, self.dtype = self._data.shape, np.dtype(self._data.dtypes[0])

    def write(self, labels: np.ndarray, x: int, y: int) -> None:
        """Write labels (height, width) with their upper left corner at a pixel."""
        height, width = labels.shape
        self._data.write(labels.astype(self.dtype), 1, window=((y, y + height), (x, x + width)))

    def flush(self) -> None:
        """See what was written onto the disk, which GDAL does for sure only when it closes a file."""
        self._data.close()
        self._open()

    def close(self) -> None:
        self._data.close()


def check_room(path: Path, size: int) -> None:
    """See to it that a file of so many bytes fits where it shall stand.

    Raises:
        InputError: the folder cannot be written or the disk is too full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        existing = path.stat().st_size if path.is_file() else 0
        with open(path, 'ab'):
            pass
    except OSError as error:
        raise InputError(f'cannot write the raster {path}: {error.strerror}') from error
    if free + existing < size:
        raise InputError(f'no room for {path}: it takes {size:,} bytes and {free:,} are free; free some, or choose '
                         'another disk')
