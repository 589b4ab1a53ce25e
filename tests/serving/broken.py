"""Files that are no images, or none that a server should take."""
import struct
import zlib

import cv2
import numpy as np


def encoded(suffix='.png', height=48, width=64):
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(suffix, picture)[1].tobytes()


def png_header(width, height):
    """A PNG file that promises this size and holds nothing."""
    head = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + head + struct.pack('>I', zlib.crc32(head))
            + struct.pack('>I', 0) + b'IDAT' + struct.pack('>I', zlib.crc32(b'IDAT'))
            + struct.pack('>I', 0) + b'IEND\xaeB`\x82')


def flipped(content):
    """The file with a spoilt middle."""
    middle = len(content) // 2
    return content[:middle] + bytes(64) + content[middle + 64:]


# name → content, status, part of the sentence
FILES = {
    'empty': (b'', 400, 'found nothing'),
    'text': (b'This is no image at all.\n' * 9, 415, "begin with b'This is no i"),
    'pdf': (b'%PDF-1.7\n', 415, 'expected an image: JPEG, PNG, WebP'),
    'tiff': (encoded('.tiff'), 415, 'expected an image'),
    'one pixel': (encoded(height=1, width=1), 422, 'found 1 x 1 pixels, expected at least 8 a side'),
    'a line': (encoded(height=7, width=64), 422, 'found 64 x 7 pixels'),
    'huge': (png_header(20000, 20000), 413, 'found 20000 x 20000 pixels, expected at most 16 megapixels'),
    'long': (png_header(16385, 8), 413, 'and 16384 a side'),
    'head alone': (encoded()[:20], 422, 'found a damaged PNG file of 20 bytes'),
    'hollow': (png_header(64, 48), 422, 'found a damaged PNG file'),
    'truncated PNG': (encoded()[:2000], 422, 'truncated PNG'),
    'truncated JPEG': (encoded('.jpg')[:1500], 422, 'truncated JPEG'),
    'truncated WebP': (encoded('.webp')[:-500], 422, 'WebP file'),
    'spoilt PNG': (flipped(encoded()), 422, 'damaged PNG'),
}
