"""Label rasters that are too large for memory, window by window, from file to file with the georeference kept."""
from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mmseg.apis.blending import Blender, even_starts
from mmseg.apis.inference import init_model
from mmseg.apis.pipeline import ImagePipeline, predict_prepared, test_steps
from mmseg.apis.raster_files import check_room, open_raster
from mmseg.apis.speed import accelerate
from mmseg.utils.atomic import write_text
from mmseg.utils.errors import InputError

if TYPE_CHECKING:
    from mmseg.models.segmentors.base import BaseSegmentor


class RSImage:
    """A raster on disk, read and written by windows `[x, y, width, height]` in pixels.

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
        self.source = open_raster(self.path)
        self.width, self.height, self.channel = self.source.width, self.source.height, self.source.bands
        self.grids: list[list[int]] = []
        self._labels = None

    def read(self, grid: list[int] | None = None) -> np.ndarray:
        """Read a window, or everything: (H, W, C) in the order of the bands in the file."""
        return self.source.read(*(grid or [0, 0, self.width, self.height])[:4])

    def create_grids(self, window_size: tuple[int, int], stride: tuple[int, int] = (0, 0)) -> None:
        """List windows that cover the raster evenly in `grids`, row by row.

        Each is `[x, y, width, height, crop_x, crop_y, crop_width, crop_height]`; the crops, inside the windows, cover
        every pixel once and meet in the middle of overlaps.

        Args:
            window_size: width and height.
            stride: most pixels from one to the next in x and y; 0 is the window's size.
        """
        columns, rows = (list(_spans(length, window, step or window)) for length, window, step in zip(
            (self.width, self.height), window_size, stride))
        self.grids = [[x, y, width, height, crop_x, crop_y, crop_width, crop_height]
                      for y, height, crop_y, crop_height in rows for x, width, crop_x, crop_width in columns]

    def create_seg_map(self, output_path: str | None = None, dtype: type = np.uint8) -> RSImage:
        """Make a TIFF for labels, of this size and georeference, and return it open for :meth:`write`.

        Args:
            output_path: where; beside this raster, as `NAME_label.tif`, by default.
            dtype: `np.uint16` for more than 256 classes.
        """
        output_path = self.label_path(output_path)
        check_room(output_path, self.width * self.height * np.dtype(dtype).itemsize)
        return self._labels_in(self.source.new_labels(output_path, dtype), output_path)

    def open_seg_map(self, output_path: str | None = None) -> RSImage:
        """Open what :meth:`create_seg_map` has made before, to go on writing."""
        output_path = self.label_path(output_path)
        return self._labels_in(self.source.open_labels(output_path), output_path)

    def label_path(self, output_path: str | None = None) -> Path:
        """Return where labels go.

        Raises:
            InputError: they would overwrite the raster.
        """
        path = Path(output_path or self.path.with_name(f'{self.path.stem}_label.tif'))
        if path.resolve() == self.path.resolve():
            raise InputError(f'the labels would overwrite the raster {path}: choose another file')
        return path

    @staticmethod
    def _labels_in(labels, path: Path) -> RSImage:
        made = RSImage(path)
        made._labels = labels
        return made

    def write(self, data: np.ndarray, grid: list[int] | None = None) -> None:
        """Write labels (H, W): those of the whole raster, or the crop of a window of `grids`.

        Raises:
            InputError: this raster was not made by :meth:`create_seg_map`.
        """
        if self._labels is None:
            raise InputError(f'{self.path} is open for reading: write into what create_seg_map() returns')
        x, y, _, _, crop_x, crop_y, width, height = grid or [0, 0, 0, 0, 0, 0, self.width, self.height]
        self._labels.write(data[crop_y:crop_y + height, crop_x:crop_x + width], x + crop_x, y + crop_y)

    def flush(self) -> None:
        """See what was written onto the disk."""
        self._labels.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._labels is not None:
            self._labels.close()
        self.source.close()


def _spans(length: int, window: int, stride: int) -> Iterator[tuple[int, int, int, int]]:
    """Cover an axis by windows: yield start, size, and start (in the window) and size of the part that counts."""
    starts = even_starts(length, window, stride)
    window = min(window, length)
    cuts = [0, *((left + window + right) // 2 for left, right in zip(starts, starts[1:])), length]
    for start, begin, end in zip(starts, cuts, cuts[1:]):
        yield start, window, begin - start, end - begin


class RSInferencer:
    """Labels rasters window by window: logits are blended where windows overlap, with weights that fall to their ends.

    Memory does not grow with the height of a raster, and with its width only by the logits in the overlap of two rows
    of windows. Windows are read ahead in threads while the network computes. A run that was stopped goes on where it
    was: a journal beside the labels, `NAME.journal`, says which rows are finished, and of which job.

    >>> inferencer = RSInferencer.from_config_path(config, checkpoint, batch_size=4, device='cuda:0')
    >>> inferencer.run(RSImage('scene.tif'), window_size=(512, 512), strides=(384, 384), output_path='labels.tif')

    Args:
        model: from `init_model`.
        batch_size: windows that go through the network together.
        thread: threads that read.
        bands: numbers of the bands for the network, from 1 and in its order; by default those that the loader of the
            config takes: of colours the first three, blue first, as OpenCV does.
        amp: whether to compute in bfloat16 on a CPU, in float16 on a GPU.
    """

    def __init__(self, model: BaseSegmentor, batch_size: int = 1, thread: int = 1, bands: Sequence[int] | None = None,
                 amp: bool = False):
        self.model, self.batch_size, self.thread, self.bands, self.amp = model, batch_size, thread, bands, amp
        self.pipeline = ImagePipeline(model.cfg)
        self.read_buffer: Iterable = ()
        self.write_buffer: Iterable = ()

    @classmethod
    def from_config_path(cls, config_path: str, checkpoint_path: str, batch_size: int = 1, thread: int = 1,
                         device: str | None = 'cpu', **options) -> RSInferencer:
        """Build the model of a config and load its weights; `options` are those of the class."""
        model = accelerate(init_model(config_path, checkpoint_path, device or 'cpu'))
        return cls(model, batch_size, thread, **options)

    @classmethod
    def from_model(cls, model: BaseSegmentor, checkpoint_path: str | None = None, batch_size: int = 1, thread: int = 1,
                   device: str | None = 'cpu', **options) -> RSInferencer:
        """Take a model as it is, or with the weights of a checkpoint."""
        from mmseg.utils.checkpoint import load_weights
        if checkpoint_path is not None:
            load_weights(model, checkpoint_path)
        return cls(model.to(device or 'cpu'), batch_size, thread, **options)

    def read(self, image: RSImage, window_size: tuple[int, int], strides: tuple[int, int] = (0, 0),
             finished_rows: int = 0) -> None:
        """Let `read_buffer` give the windows of a raster, all that reach below the rows that are finished."""
        image.create_grids(window_size, strides)
        order = self._order_of_bands(image)
        grids = [grid for grid in image.grids if grid[1] + grid[3] > finished_rows]
        self.read_buffer = read_ahead(lambda grid: _take_bands(image.read(grid), order), grids, self.thread,
                                      2 * self.batch_size)

    def inference(self) -> None:
        """Let `write_buffer` give what the network makes of the windows in `read_buffer`."""
        self.write_buffer = self._predict(iter(self.read_buffer))

    def _predict(self, windows: Iterator) -> Iterator:
        while batch := list(islice(windows, self.batch_size)):
            samples = predict_prepared(self.model, (self.pipeline(window) for _, window in batch), self.amp)
            for (grid, _), sample in zip(batch, samples):
                if 'pred_sem_seg' not in sample:
                    raise InputError(f'{type(self.model).__name__} predicts no classes: rasters are labelled by '
                                     'networks that do')
                yield (grid[1], grid[0]), sample.seg_logits.data

    def write(self, image: RSImage, output_path: str | None = None) -> None:
        """Blend what `write_buffer` gives and write the labels."""
        with closing(image.create_seg_map(output_path, self._dtype)) as labels:
            for top, strip in self._blender(image).strips(self.write_buffer):
                labels.write(strip, _full_width(top, strip))

    def run(self, image: RSImage, window_size: tuple[int, int], strides: tuple[int, int] = (0, 0),
            output_path: str | None = None, resume: bool = True,
            progress: Callable[[int, int], object] | None = None) -> int:
        """Label a raster.

        Args:
            image: the raster.
            window_size: width and height of the windows.
            strides: most pixels from one window to the next in x and y; 0 is the window's size, without overlap.
            output_path: of the label map; beside the raster, as `NAME_label.tif`, by default.
            resume: go on with what a run of the same raster, weights and windows has left unfinished.
            progress: called with the rows that are finished and those in all, at first and after each strip.

        Returns:
            How many rows were finished already.
        """
        output = image.label_path(output_path)
        journal = Journal(output, self._job(image, window_size, strides))
        finished = journal.finished_rows() if resume else 0
        self.read(image, window_size, strides, finished)
        self.inference()
        labels = image.open_seg_map(output) if finished else image.create_seg_map(output, self._dtype)
        journal.note(finished)
        tell = progress or (lambda rows, total: None)
        tell(finished, image.height)
        with closing(labels):
            for top, strip in self._blender(image).strips(self.write_buffer):
                if top < finished:  # done before: these windows are only there for what they share with the next
                    continue
                labels.write(strip, _full_width(top, strip))
                labels.flush()
                journal.note(top + len(strip))
                tell(top + len(strip), image.height)
        journal.close()
        return finished

    @property
    def _dtype(self) -> type:
        return np.uint8 if self.model.num_classes <= 256 else np.uint16

    def _blender(self, image: RSImage) -> Blender:
        starts = tuple(sorted({grid[axis] for grid in image.grids}) for axis in (1, 0))
        return Blender(starts, (image.grids[0][3], image.grids[0][2]), (image.height, image.width),
                       getattr(self.model, 'threshold', None))

    def _job(self, image: RSImage, window_size: tuple[int, int], strides: tuple[int, int]) -> dict:
        """Everything that the labels depend on."""
        file = image.path.stat()
        weights = hashlib.blake2b()
        for name, value in self.model.state_dict().items():
            weights.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
        return dict(raster=str(image.path.resolve()), bytes=file.st_size, changed=file.st_mtime_ns,
                    windows=[*window_size, *strides], bands=list(self.bands or ()), amp=self.amp,
                    weights=weights.hexdigest())

    def _order_of_bands(self, image: RSImage) -> list[int]:
        """Positions of the bands for the network, as the loader of its config would give them.

        Raises:
            InputError: the raster has other bands than the network takes.
        """
        wanted = len((self.model.cfg.model.get('data_preprocessor') or {}).get('mean') or ()) or None
        loader = test_steps(self.model.cfg)[0]
        opencv = loader['type'] == 'LoadImageFromFile' and loader.get('imdecode_backend') != 'tifffile'
        if self.bands:
            order = [band - 1 for band in self.bands]
        elif opencv and image.source.colors:
            order = [2, 1, 0, *range(3, image.channel)][:wanted]
        elif opencv and image.channel == 1 and wanted:
            order = [0] * wanted
        else:
            order = list(range(image.channel))
        if not all(0 <= band < image.channel for band in order) or wanted not in (None, len(order)):
            given = [band + 1 for band in order]
            raise InputError(f'{image.path} has {image.channel} bands, the network takes {wanted or "some"}, and the '
                             f'bands {given} are chosen: choose with bands (--bands), e.g. --bands 3 2 1')
        return order


def _full_width(top: int, strip: np.ndarray) -> list[int]:
    """The window of a strip of labels, as :meth:`RSImage.write` takes it."""
    height, width = strip.shape
    return [0, top, width, height, 0, 0, width, height]


def _take_bands(window: np.ndarray, order: list[int]) -> np.ndarray:
    same = order == list(range(window.shape[2]))
    return window if same else np.ascontiguousarray(window[..., order])


def read_ahead(function: Callable, items: Iterable, threads: int, ahead: int) -> Iterator[tuple]:
    """Yield each item with `function(item)`, in order, computed in threads for at most `ahead` items to come."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque = deque()
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > ahead:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()


class Journal:
    """A small file beside an output that says how many of its rows are finished, and of which job.

    Args:
        output: the file that is written row by row.
        job: everything that its content depends on, as JSON can hold it.
    """

    def __init__(self, output: Path, job: dict):
        self.path, self.output, self.job = output.with_name(f'{output.name}.journal'), output, job

    def finished_rows(self) -> int:
        """Return how far this job has come; 0 where nothing is left of it."""
        try:
            content = json.loads(self.path.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            return 0
        return content['rows'] if content.get('job') == self.job and self.output.is_file() else 0

    def note(self, rows: int) -> None:
        """Write down, at once or not at all, that these rows are on the disk."""
        write_text(json.dumps(dict(rows=rows, job=self.job)), self.path)

    def close(self) -> None:
        """Remove it: all is finished."""
        self.path.unlink(missing_ok=True)
