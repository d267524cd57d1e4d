"""Boosted regression trees as flat arrays, evaluated in numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Trees"]


@dataclass(frozen=True, slots=True)
class Trees:
    """An ensemble whose prediction is the sum of one leaf a tree.

    Node numbers below zero are leaves: -1 is the first.

    Attributes:
        feature: Column that each node compares.
        threshold: A row goes left where its value is at most this.
        left: Node or leaf for those rows.
        right: Node or leaf for the others.
        root: First node of each tree.
        leaf: Values.
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    root: NDArray[np.int32]
    leaf: NDArray[np.float32]

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return one value a row."""
        rows = np.arange(len(inputs))[:, None]
        nodes = np.tile(self.root, (len(inputs), 1))
        while (nodes >= 0).any():
            inner = np.maximum(nodes, 0)
            goes_left = inputs[rows, self.feature[inner]] <= self.threshold[inner]
            below = np.where(goes_left, self.left[inner], self.right[inner])
            nodes = np.where(nodes >= 0, below, nodes)
        return np.asarray(self.leaf[-nodes - 1].sum(axis=1, dtype=np.float64))
