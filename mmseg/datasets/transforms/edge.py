"""Edges between the classes of a label map, the target of networks with a boundary branch."""
from __future__ import annotations

import cv2
import numpy as np

from mmseg.registry import TRANSFORMS

from .base import Transform

_FIRST, _LAST, _ALL = slice(None, -1), slice(1, None), slice(None)
# A pixel and its neighbour below, to the right, and on either diagonal: the first of a pair gets the edge.
_NEIGHBOURS = (
    ((_LAST, _ALL), (_FIRST, _ALL)),
    ((_ALL, _FIRST), (_ALL, _LAST)),
    ((_FIRST, _FIRST), (_LAST, _LAST)),
    ((_FIRST, _LAST), (_LAST, _FIRST)),
)


@TRANSFORMS.register_module()
class GenerateEdge(Transform):
    """Make `gt_edge_map`, 1 near where two classes meet and 0 elsewhere, from `gt_seg_map`.

    Args:
        edge_width: width in pixels.
        ignore_index: label beside which there is no edge.
    """

    def __init__(self, edge_width: int = 3, ignore_index: int = 255) -> None:
        self.edge_width = edge_width
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        label = results['gt_seg_map']
        valid = label != self.ignore_index
        edge = np.zeros(label.shape, bool)
        for here, there in _NEIGHBOURS:
            edge[here] |= (label[here] != label[there]) & valid[here] & valid[there]
        kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (self.edge_width, self.edge_width))
        results['gt_edge_map'] = cv2.dilate(edge.view(np.uint8), kernel)
        results['edge_width'] = self.edge_width
        return results
