"""Regressions on scaled inputs, evaluated in numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClassLinear", "Kernel", "Linear", "Quadratic", "scaled"]

FloatArray = NDArray[np.float32]

_FARTHEST = 5.0
"""Standard deviations at which an input is cut, so that no single one decides."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Scores as weighted sums.

    Attributes:
        mean: Of each input.
        deviation: Of each input.
        weight: Of each input beside the others.
        coefficients: One row an input, a column for each score.
        bias: The scores of inputs that are the mean.
    """

    mean: FloatArray
    deviation: FloatArray
    weight: FloatArray
    coefficients: FloatArray
    bias: FloatArray

    def predict(self, inputs: FloatArray) -> NDArray[np.float64]:
        """Return the scores, one row for each of inputs."""
        rows = scaled(inputs, self.mean, self.deviation, self.weight)
        return np.asarray(rows @ self.coefficients + self.bias, np.float64)


@dataclass(frozen=True, slots=True)
class Quadratic:
    """Scores as weighted sums of inputs, and of products of the directions in which they vary most.

    Attributes:
        mean: Of each input.
        deviation: Of each input.
        weight: Of each input beside the others.
        coefficients: One row an input, a column for each score.
        directions: One row an input, a column for each direction.
        products: For each score, the weight of each pair of directions.
        bias: The scores of inputs that are the mean.
    """

    mean: FloatArray
    deviation: FloatArray
    weight: FloatArray
    coefficients: FloatArray
    directions: NDArray[np.float16]
    products: FloatArray
    bias: FloatArray

    def predict(self, inputs: FloatArray) -> NDArray[np.float64]:
        """Return the scores, one row for each of inputs."""
        rows = scaled(inputs, self.mean, self.deviation, self.weight)
        along = rows @ self.directions.astype(np.float32)
        products = ((along @ self.products) * along).sum(axis=-1).T
        return np.asarray(rows @ self.coefficients + products + self.bias, np.float64)


@dataclass(frozen=True, slots=True)
class ClassLinear:
    """A score as a weighted sum, with weights for each class.

    Attributes:
        coefficients: One row a class, a column an input.
        bias: One a class.
    """

    coefficients: FloatArray
    bias: FloatArray

    def predict(self, classes: NDArray[np.int64], inputs: FloatArray) -> NDArray[np.float64]:
        """Return the score of each row of inputs, which is of the class at the same place."""
        sums = (self.coefficients[classes] * inputs).sum(axis=1)
        return np.asarray(sums + self.bias[classes], np.float64)


@dataclass(frozen=True, slots=True)
class Kernel:
    """Scores by likeness to examples: the sum of their scores, each times exp(-distance²).

    Attributes:
        mean: Of each input.
        deviation: Of each input.
        weight: Of each input beside the others.
        examples: Scaled inputs, one row an example.
        scores: One row an example, a column for each score.
        bias: The scores of inputs that are like no example.
    """

    mean: FloatArray
    deviation: FloatArray
    weight: FloatArray
    examples: NDArray[np.float16]
    scores: FloatArray
    bias: FloatArray

    def predict(self, inputs: FloatArray) -> NDArray[np.float64]:
        """Return the scores, one row for each of inputs."""
        return np.asarray(self.likeness(inputs) @ self.scores + self.bias, np.float64)

    def likeness(self, inputs: FloatArray) -> FloatArray:
        """Return how like each of inputs is to each example, from 0 to 1."""
        rows = scaled(inputs, self.mean, self.deviation, self.weight)
        examples = self.examples.astype(np.float32)
        squares = (rows**2).sum(axis=1)[:, None] + (examples**2).sum(axis=1)
        return np.asarray(np.exp(np.minimum(2 * rows @ examples.T - squares, 0)))


def scaled(
    inputs: FloatArray, mean: FloatArray, deviation: FloatArray, weight: FloatArray
) -> FloatArray:
    """Return inputs in standard deviations from their means, times their weights."""
    return ((inputs - mean) / deviation).clip(-_FARTHEST, _FARTHEST) * weight
