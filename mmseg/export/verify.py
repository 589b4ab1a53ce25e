"""Whether an exported file computes what the network computes, on an image."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import nn

from mmseg.export.backends import Exported
from mmseg.export.network import ExportNetwork, Interface
from mmseg.export.program import TOLERANCE

# Floating point rounds in another order elsewhere: of the largest logit, and of the labels, so much may differ.
EQUAL_LABELS = 0.999
HALF_TOLERANCE, HALF_EQUAL_LABELS = 5e-2, 0.98


@dataclass(frozen=True)
class Comparison:
    """What a file and the network make of one image.

    Args:
        sides: height and width of the image.
        difference: the largest of all logits; None where labels are given.
        largest: logit of the network, in magnitude.
        equal: share of pixels with the same label.
    """

    sides: tuple[int, int]
    difference: float | None
    largest: float | None
    equal: float

    def agrees(self, half: bool = False) -> bool:
        """Whether this is a matter of rounding; with `half`, of rounding to float16."""
        tolerance, share = (HALF_TOLERANCE, HALF_EQUAL_LABELS) if half else (TOLERANCE, EQUAL_LABELS)
        close = self.difference is None or self.difference <= tolerance * self.largest  # not so for NaN
        return close and self.equal >= share

    def __str__(self) -> str:
        logits = '' if self.difference is None else (
            f'largest difference of logits {self.difference:.2e} (they reach {self.largest:.3g}), ')
        return f'{self.sides[0]} x {self.sides[1]}: {logits}{100 * self.equal:.3f} % of the labels are equal'


@torch.no_grad()
def verify_export(network: ExportNetwork, exported: Exported, image: np.ndarray) -> Comparison:
    """Run network and file on an image as the network takes it, see :func:`prepared`."""
    device = next(network.parameters()).device
    expected = network(torch.from_numpy(image).to(device)).cpu().numpy()
    sides = image.shape[1:3] if network.interface.takes_image else image.shape[2:]
    return compared(expected, exported(image), network.interface, sides)


def compared(expected: np.ndarray, found: np.ndarray, interface: Interface, sides: tuple[int, int]) -> Comparison:
    """Compare what two networks make of an image of this height and width."""
    if found.shape != expected.shape:
        return Comparison(sides, float('nan'), 0., 0.)
    equal = float((labels_of(found, interface) == labels_of(expected, interface)).mean())
    if interface.gives_labels:
        return Comparison(sides, None, None, equal)
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    return Comparison(sides, float(np.abs(found - expected).max()), float(np.abs(expected).max()), equal)


def labels_of(given: np.ndarray, interface: Interface) -> np.ndarray:
    """Labels (N, H, W) of what a network or a file gives; a single logit is that of class 1."""
    if interface.gives_labels:
        return given
    return given.argmax(1) if given.shape[1] > 1 else given[:, 0] > 0


def prepared(image: np.ndarray, interface: Interface, data_preprocessor: nn.Module,
             sides: tuple[int, int]) -> np.ndarray:
    """Bring an image (H, W, bands), uint8 in BGR, to a size and to what a network of this interface takes."""
    resized = cv2.resize(image, sides[::-1], interpolation=cv2.INTER_LINEAR).reshape(*sides, -1)
    if interface.takes_image:
        return resized[None]
    batch = data_preprocessor(dict(inputs=[torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))]))
    return batch['inputs'][:, :, :sides[0], :sides[1]].cpu().numpy()


def other_sizes(sides: tuple[int, int], multiple: int) -> list[tuple[int, int]]:
    """Sizes besides the one that a file was made for: a smaller, an odd and an upright one, of multiples."""
    height, width = (max(1, side // multiple) for side in sides)
    factors = ((height * 3 // 4, width * 3 // 4), (height + 3 | 1, width + 5 | 1), (width, height))
    return [(max(1, a) * multiple, max(1, b) * multiple) for a, b in factors]
