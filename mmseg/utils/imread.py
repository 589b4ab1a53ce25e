"""Images and label maps from the bytes of their files, and a clear sentence where a file is not what it should be.

A reader that is handed half a file often fills the rest with grey and says nothing, so the end marks are looked for
first. Labels have to come out as the ids that the file holds: a palette file gives indices, one of colours is refused.
"""
from __future__ import annotations

import io
from collections.abc import Mapping

import mmcv
import numpy as np
from mmengine import fileio

from mmseg.utils.errors import InputError

_SIGNATURES = {
    b'\x89PNG\r\n\x1a\n': 'PNG',
    b'\xff\xd8\xff': 'JPEG',
    b'II*\0': 'TIFF', b'MM\0*': 'TIFF', b'II+\0': 'TIFF', b'MM\0+': 'TIFF',
    b'BM': 'BMP',
    b'GIF8': 'GIF',
}
_PNG_END = b'IEND\xaeB`\x82'
_JPEG_SCAN, _JPEG_END = b'\xff\xda', b'\xff\xd9'


def read_file(path: str, backend_args: dict | None = None, file_client_args: dict | None = None) -> bytes:
    """Return the content of a file on disk, or of any storage that mmengine's `fileio` knows."""
    if file_client_args is not None:
        return fileio.FileClient.infer_client(file_client_args, path).get(path)
    return fileio.get(path, backend_args=backend_args)


def file_kind(content: bytes) -> str | None:
    """Tell the format of an image file by its first bytes; None where they are unknown."""
    return next((kind for start, kind in _SIGNATURES.items() if content.startswith(start)), None)


def _ends_early(content: bytes, kind: str | None) -> bool:
    """Whether the end mark of a PNG or JPEG file is missing."""
    if kind == 'PNG':
        return not content.endswith(_PNG_END) and _PNG_END not in content
    if kind == 'JPEG' and not content.endswith(_JPEG_END):
        # Thumbnails in the header have end marks too; within a scan neither mark can occur.
        return content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)
    return False


def _check_whole(content: bytes, path: str) -> str | None:
    """Return the format, having refused empty and truncated files."""
    if not content:
        raise InputError(f'{path}: found an empty file, expected an image: fetch it again or take it off the list')
    kind = file_kind(content)
    if _ends_early(content, kind):
        raise InputError(f'{path}: found a truncated {kind} file, which breaks off after {len(content)} bytes, '
                         'expected its end mark: fetch it again or take it off the list')
    return kind


def _refusal(path: str, content: bytes, kind: str | None, detail: object = '') -> InputError:
    """The error for content that the reader could not decode."""
    detail = f' ({str(detail).strip().splitlines()[0]})' if str(detail).strip() else ''
    if kind is None:
        return InputError(f'{path}: found bytes that begin with {content[:16]!r}, expected an image file such as PNG, '
                          f'JPEG or TIFF{detail}: correct the path or the suffix')
    if kind == 'TIFF':
        return InputError(f'{path}: found a TIFF file of {len(content)} bytes that this reader cannot decode{detail}: '
                          "for more than four bands or unusual types set imdecode_backend='tifffile' and "
                          "color_type='unchanged'; otherwise it is damaged, fetch it again")
    return InputError(f'{path}: found a damaged {kind} file of {len(content)} bytes{detail}, expected one that '
                      'decodes: fetch it again or take it off the list')


def _read_tiff(content: bytes) -> np.ndarray:
    """Read a TIFF file as it is stored, bands last: (H, W) or (H, W, C)."""
    import tifffile
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        series = file.series[0]
        return np.moveaxis(series.asarray(), 0, -1) if series.axes == 'SYX' else series.asarray()


def _read_tiff_beyond_cv2(content: bytes) -> np.ndarray | None:
    """Read a TIFF file whose bands OpenCV may drop or blend; None where it reads them, or where tifffile is missing."""
    try:
        import tifffile
    except ImportError:
        return None
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages[0]
        colours = page.photometric == tifffile.PHOTOMETRIC.RGB
        planes = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        bands = page.samplesperpixel
    if bands == 1 or (colours and not planes and bands == 3):
        return None
    image = _read_tiff(content)
    return image[..., [2, 1, 0, *range(3, bands)]] if colours else image  # colours in OpenCV's order, blue first


def _decode(content: bytes, path: str, flag: str, backend: str, kind: str | None) -> np.ndarray:
    image = None
    try:
        if backend == 'tifffile':
            image = _read_tiff(content)
        elif backend == 'cv2' and kind == 'TIFF' and flag == 'unchanged':
            image = _read_tiff_beyond_cv2(content)
        if image is None:
            image = mmcv.imfrombytes(content, flag=flag, backend=backend)
    except Exception as error:  # each reader has errors of its own
        raise _refusal(path, content, kind, error) from error
    if image is None:
        raise _refusal(path, content, kind)
    return image


def decode_image(content: bytes, path: str, flag: str = 'color', backend: str = 'cv2') -> np.ndarray:
    """Decode an image: (H, W) or (H, W, C), colours in the order BGR.

    Args:
        content: the file, byte for byte.
        path: its name, for messages.
        flag: `color`, `grayscale`, `unchanged` (type and bands as stored), or one of the first two with
            `_ignore_orientation`.
        backend: `cv2`, `pillow`, `tifffile` or `turbojpeg`.

    Raises:
        InputError: the content is empty, truncated, damaged, or no image.
    """
    return _decode(content, path, flag, backend, _check_whole(content, path))


def _is_gray_png(content: bytes) -> bool:
    """Whether a PNG file holds one band of 8 or 16 bits without transparency, which OpenCV reads as it is."""
    depth, colour_type = content[24], content[25]
    return depth in (8, 16) and colour_type == 0 and b'tRNS' not in content[33:content.find(b'IDAT')]


def _is_palette_png(content: bytes) -> bool:
    return content[25] == 3


def decode_labels(content: bytes, path: str, backend: str = 'pillow',
                  colors: Mapping[tuple[int, int, int], int] | None = None) -> np.ndarray:
    """Decode a label map: (H, W), integers of the type that the file holds; a palette file gives its indices.

    Args:
        content, path, backend: as those of :func:`decode_image`.
        colors: label of each RGB colour, where files are painted in colours; grey files are then colours too.

    Raises:
        InputError: besides what :func:`decode_image` refuses, a file of several bands, or of fractions; or colours
            that are none of `colors`.
    """
    if colors is not None:
        return labels_of_colors(decode_image(content, path, 'color_ignore_orientation')[..., ::-1], colors, path)
    kind = _check_whole(content, path)
    if kind == 'PNG' and backend in ('cv2', 'pillow'):
        # OpenCV is the quicker reader of plain grey, but turns palette indices into colours.
        backend = 'cv2' if _is_gray_png(content) else 'pillow' if _is_palette_png(content) else backend
    label = _decode(content, path, 'unchanged', backend, kind)
    if label.ndim == 3 and label.shape[-1] == 1:
        label = label[..., 0]
    elif label.ndim == 3 and label.shape[0] == 1 and label.shape[-1] > 4:
        label = label[0]
    if label.ndim != 2:
        raise InputError(_describe_bands(label, path))
    return _as_integers(label, path)


def _packed(colors: np.ndarray) -> np.ndarray:
    """(…, 3) RGB -> (…) int32: the colour as one number."""
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def labels_of_colors(picture: np.ndarray, colors: Mapping[tuple[int, int, int], int], path: str) -> np.ndarray:
    """Turn a picture of colours, (H, W, 3) uint8 in RGB, into label numbers (H, W).

    Raises:
        InputError: it has colours without a label.
    """
    codes = _packed(np.array(list(colors)))
    order = np.argsort(codes)
    codes, labels = codes[order], np.array(list(colors.values()))[order]
    pixels = _packed(picture)
    places = np.searchsorted(codes, pixels).clip(max=len(codes) - 1)
    strange = codes[places] != pixels
    if strange.any():
        unique, counts = np.unique(pixels[strange], return_counts=True)
        most = ', '.join(f'{(code >> 16, code >> 8 & 255, code & 255)} ({count} pixels)' for code, count
                         in sorted(zip(unique.tolist(), counts.tolist()), key=lambda pair: -pair[1])[:4])
        raise InputError(f'{path}: found {len(unique)} RGB colours that belong to no class, the most frequent {most}, '
                         f'expected {", ".join(map(str, list(colors)[:4]))} …: give each colour a class, and save '
                         'masks without smoothing and not as JPEG')
    return labels.astype(np.promote_types(np.uint8, np.min_scalar_type(labels.max())))[places]


def _describe_bands(label: np.ndarray, path: str) -> str:
    shape = ' x '.join(map(str, label.shape))
    if label.ndim != 3 or label.shape[-1] not in (3, 4):
        return f'{path}: found an array of {shape}, expected a label map of height x width with one id for each pixel'
    colours = label[..., 2::-1].reshape(-1, 3)
    if (colours == colours[:, :1]).all():
        return (f'{path}: found a label map whose {label.shape[-1]} bands ({shape}) all hold the same ids, expected '
                'one band: save one of them as a grey image')
    unique, counts = np.unique(colours, axis=0, return_counts=True)
    most = ', '.join(f'({", ".join(map(str, colour))})' for colour in unique[np.argsort(-counts)[:6]].tolist())
    return (f'{path}: found a picture of {len(unique)} RGB colours ({shape}), the most frequent {most}, expected a '
            'label map with one id for each pixel: turn colours into ids with a converter of '
            'tools/dataset_converters, save the file with a palette, or use FolderDataset with these colours as '
            'palette')


def _as_integers(label: np.ndarray, path: str) -> np.ndarray:
    """Give truth values and whole-numbered fractions an integer type; other integers keep theirs."""
    if label.dtype == bool:
        return label.astype(np.uint8)
    if label.dtype.kind == 'i' and label.min(initial=0) < 0:
        raise InputError(f'{path}: found labels from {label.min()} to {label.max()}, expected ids from 0 upwards: '
                         'write ignored pixels as 255')
    if label.dtype.kind in 'iu':
        return label
    whole = np.nan_to_num(label, nan=-0.5).astype(np.int32)
    if (whole != label).any():
        raise InputError(f'{path}: found a map of {label.dtype} from {label.min()} to {label.max()} with fractions, '
                         'expected the integer id of a class for each pixel: use LoadDepthAnnotation for depth')
    return whole
