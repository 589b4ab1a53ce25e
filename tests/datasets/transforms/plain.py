"""The training pipeline published for Cityscapes, said as plainly as possible: each step on all it is given."""
import cv2
import numpy as np
import torch
from numpy import random


def resize(image, label, scale):
    ratio = random.random_sample() * 1.5 + 0.5
    longest, shortest = int(max(scale) * ratio), int(min(scale) * ratio)
    factor = min(longest / max(label.shape), shortest / min(label.shape))
    size = int(label.shape[1] * factor + 0.5), int(label.shape[0] * factor + 0.5)
    return cv2.resize(image, size), cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)


def crop(image, label, size, most=0.75):
    def draw():
        top, left = (random.randint(0, max(whole - part, 0) + 1) for whole, part in zip(label.shape, size))
        return slice(top, top + size[0]), slice(left, left + size[1])

    window = draw()
    for _ in range(10):
        classes, counts = np.unique(label[window], return_counts=True)
        counts = counts[classes != 255]
        if len(counts) > 1 and counts.max() / counts.sum() < most:
            break
        window = draw()
    return image[window], label[window]


def flip(image, label):
    if random.choice(['horizontal', None], p=[0.5, 0.5]) is not None:
        return image[:, ::-1], label[:, ::-1]
    return image, label


def linear(levels, alpha=1, beta=0):
    return np.clip(levels.astype(np.float32) * alpha + beta, 0, 255).astype(np.uint8)


def contrast(image):
    return linear(image, alpha=random.uniform(0.5, 1.5)) if random.randint(2) else image


def distort(image):
    if random.randint(2):
        image = linear(image, beta=random.uniform(-32, 32))
    contrast_first = random.randint(2)
    image = contrast(image) if contrast_first else image
    for channel, change in ((1, lambda saturation: linear(saturation, alpha=random.uniform(0.5, 1.5))),
                            (0, lambda hue: (hue.astype(int) + random.randint(-18, 18)) % 180)):
        if random.randint(2):
            hsv = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2HSV)
            hsv[..., channel] = change(hsv[..., channel])
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    return image if contrast_first else contrast(image)


def pack(image, label):
    image = np.ascontiguousarray(image.transpose(2, 0, 1))
    return torch.from_numpy(image), torch.from_numpy(label[None].astype(np.int64))


def published_pipeline(image, label, scale, crop_size):
    """Return the image (C, H, W) and the label (1, H, W) for the current state of NumPy's generator."""
    image, label = resize(image, label, scale)
    image, label = crop(image, label, crop_size)
    image, label = flip(image, label)
    return pack(distort(image), label)
