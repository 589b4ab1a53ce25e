"""Videos, frame by frame: read with OpenCV, written with ffmpeg where it is installed and with OpenCV otherwise."""
from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from mmseg.utils.errors import InputError

SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.ogv')
USUAL_FPS = 25.
# Fewer frames than this share of what the file announces mean that it is damaged.
WHOLE = 0.95


def is_video(source) -> bool:
    """Whether a source is called like a video."""
    return isinstance(source, (str, os.PathLike)) and Path(source).suffix.lower() in SUFFIXES


class VideoSource:
    """The frames of a video file, or of a camera, one after the other as (H, W, 3) in BGR.

    Args:
        source: path or address of a video, or the number of a camera.

    Attributes:
        name: of the file.
        fps, width, height: frames in a second, and their size in pixels.
        frames: how many the file announces; 0 where it does not say.

    Raises:
        InputError: there is no such video, or it cannot be read.
    """

    def __init__(self, source: str | os.PathLike | int):
        self.source = int(source) if str(source).isdigit() else str(source)
        if isinstance(self.source, str) and '://' not in self.source and not Path(self.source).is_file():
            raise InputError(f'cannot read the video {source}: there is no such file')
        self._capture = cv2.VideoCapture(self.source)
        if not self._capture.isOpened():
            what = f'camera {source}' if isinstance(self.source, int) else f'video {source}'
            raise InputError(f'cannot read the {what}: OpenCV finds no video in it; ffmpeg turns most kinds into .mp4')
        self.name = Path(str(source)).stem
        self.fps = self._capture.get(cv2.CAP_PROP_FPS) or USUAL_FPS
        self.width, self.height, self.frames = (max(0, int(self._capture.get(key))) for key in (
            cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_COUNT))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the frames.

        Raises:
            InputError: there is none.
        """
        count = 0
        while True:
            there, frame = self._capture.read()
            if not there:
                break
            count += 1
            yield frame
        if count == 0:
            raise InputError(f'the video {self.source} holds no frame that can be read')
        if count < WHOLE * self.frames:
            warnings.warn(f'the video {self.source} ends after {count} of {self.frames} frames: it is damaged',
                          stacklevel=2)

    def close(self) -> None:
        self._capture.release()


class VideoSink:
    """A video file that is written frame by frame.

    ffmpeg, where it is on the path, writes H.264, which every browser plays; OpenCV writes MPEG-4, or MJPEG into .avi.

    Args:
        path: of the file; the suffix says its kind.
        fps: frames in a second.
        fourcc: code of four letters of a codec for OpenCV, which then writes.
        size: width and height to bring the frames to; that of the first by default.

    Raises:
        InputError: at the first frame or at the end, where the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike, fps: float = USUAL_FPS, fourcc: str | None = None,
                 size: tuple[int, int] | None = None):
        self.path, self.fps, self.fourcc, self.size = Path(path), fps, fourcc, size
        self.frames = 0
        self._encoder: _FFmpeg | _OpenCV | None = None

    def write(self, picture: np.ndarray) -> None:
        """Append a frame, (H, W, 3) uint8 in RGB."""
        if self._encoder is None:
            self.size = self.size or (picture.shape[1], picture.shape[0])
            self._encoder = self._open()
        if picture.shape[1::-1] != tuple(self.size):
            picture = cv2.resize(picture, self.size, interpolation=cv2.INTER_AREA)
        try:
            self._encoder.write(np.ascontiguousarray(picture[..., ::-1]))
        except InputError:
            self._encoder = None
            raise
        self.frames += 1

    def _open(self) -> _FFmpeg | _OpenCV:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
        except OSError as error:
            raise InputError(f'cannot write the video {self.path}: {error.strerror}') from error
        ffmpeg = None if self.fourcc else shutil.which('ffmpeg')
        if ffmpeg:
            return _FFmpeg(ffmpeg, self.path, self.fps, self.size)
        code = self.fourcc or ('MJPG' if self.path.suffix.lower() == '.avi' else 'mp4v')
        return _OpenCV(self.path, self.fps, self.size, code)

    def close(self) -> None:
        """Finish the file."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            encoder.close()


class _OpenCV:
    def __init__(self, path: Path, fps: float, size: tuple[int, int], code: str):
        if len(code) != 4:
            raise InputError(f'a codec of OpenCV has a code of four letters, such as mp4v, found {code!r}')
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, size)
        if not self._writer.isOpened():
            path.unlink(missing_ok=True)
            raise InputError(f'OpenCV cannot write the video {path} with the codec {code}: try .mp4 with mp4v or .avi '
                             'with MJPG, or install ffmpeg')

    def write(self, frame: np.ndarray) -> None:
        self._writer.write(frame)

    def close(self) -> None:
        self._writer.release()


class _FFmpeg:
    def __init__(self, program: str, path: Path, fps: float, size: tuple[int, int]):
        self.path = path
        self._process = subprocess.Popen(
            [program, '-y', '-loglevel', 'error', '-f', 'rawvideo', '-pix_fmt', 'bgr24', '-s', '{}x{}'.format(*size),
             '-r', str(fps), '-i', '-', '-an', '-vf', 'pad=ceil(iw/2)*2:ceil(ih/2)*2', '-pix_fmt', 'yuv420p',
             str(path)],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def write(self, frame: np.ndarray) -> None:
        try:
            self._process.stdin.write(frame.data)
        except BrokenPipeError:
            self.close()

    def close(self) -> None:
        _, said = self._process.communicate()
        if self._process.returncode:
            reason = said.decode(errors='replace').strip().splitlines()[-1:] or ['it says no more']
            raise InputError(f'ffmpeg cannot write the video {self.path}: {reason[0]}')
