"""Linear and kernel ridge regressions, fitted in closed form."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.regression import ClassLinear, Kernel, Linear, Quadratic, scaled

__all__ = ["fit_by_class", "fit_kernel", "fit_linear", "fit_quadratic", "variation", "weights"]

_LEAST_DEVIATION = 1e-3
_KERNEL_COST = 0.3
_JITTER = 1e-4  # keeps examples that are nearly the same apart
_DIRECTIONS, _ITERATIONS = 128, 6
_FREE = 20.0  # of the bias, beside inputs that vary by about 1 together

FloatArray = NDArray[np.float64]


def weights(*groups: tuple[int, float]) -> NDArray[np.float32]:
    """Return weights of inputs in groups, of how many inputs and what weight together."""
    parts = [np.full(count, weight / count**0.5) for count, weight in groups]
    return np.concatenate(parts).astype(np.float32)


def variation(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weights of inputs in one group, of 1 together, by how much they vary."""
    deviation = rows.std(axis=0)
    return np.asarray(deviation / np.linalg.norm(deviation))


def fit_linear(
    inputs: NDArray[np.float32], targets: FloatArray, weight: NDArray[np.float32], cost: float
) -> Linear:
    """Return a regression fitted to all rows whose targets are not NaN.

    Args:
        inputs: One row an example.
        targets: A column for each score.
        weight: Of each input beside the others.
        cost: Of the squared coefficients.
    """
    rows, scores = _known(inputs, targets)
    mean, deviation = _moments(rows)
    seen = scaled(rows, mean, deviation, weight).astype(np.float64)
    centre, bias = seen.mean(axis=0), scores.mean(axis=0)
    seen -= centre
    gram = seen.T @ seen + cost * np.eye(seen.shape[1])
    coefficients = np.linalg.solve(gram, seen.T @ (scores - bias))
    return Linear(
        mean,
        deviation,
        weight,
        coefficients.astype(np.float32),
        (bias - centre @ coefficients).astype(np.float32),
    )


def fit_quadratic(
    inputs: NDArray[np.float32],
    targets: FloatArray,
    weight: NDArray[np.float32],
    *,
    cost: float,
    products: float,
) -> Quadratic:
    """Return a regression fitted to all rows whose targets are not NaN.

    It is a ridge regression on the inputs and all products of two directions, solved for the
    weights of the rows, which are fewer.

    Args:
        inputs: One row an example.
        targets: A column for each score.
        weight: Of each input beside the others.
        cost: Of the squared coefficients.
        products: How much products count beside the inputs.
    """
    rows, scores = _known(inputs, targets)
    mean, deviation = _moments(rows)
    seen = scaled(rows, mean, deviation, weight)
    directions = _main_directions(seen).astype(np.float16)
    along = (seen @ directions.astype(np.float32)).astype(np.float64)
    seen = seen.astype(np.float64)
    likeness = _FREE + seen @ seen.T + products * (along @ along.T) ** 2
    usual = scores.mean(axis=0)
    shares = np.linalg.solve(likeness + cost * np.eye(len(seen)), scores - usual)
    return Quadratic(
        mean,
        deviation,
        weight,
        (seen.T @ shares).astype(np.float32),
        directions,
        np.stack([products * along.T @ (along * it[:, None]) for it in shares.T]).astype(
            np.float32
        ),
        (usual + _FREE * shares.sum(axis=0)).astype(np.float32),
    )


def _main_directions(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the directions in which rows vary most, by subspace iteration."""
    basis = np.random.default_rng(1).standard_normal((rows.shape[1], _DIRECTIONS), np.float32)
    for _ in range(_ITERATIONS):
        basis = np.linalg.qr(rows.T @ (rows @ basis))[0]
    return basis


def fit_by_class(
    classes: NDArray[np.int64],
    inputs: NDArray[np.float32],
    targets: FloatArray,
    *,
    count: int,
    cost: float,
) -> ClassLinear:
    """Return a regression for each class, fitted to all rows whose target is not NaN.

    Args:
        classes: Of each row.
        inputs: One row an example; they count by how much they vary.
        targets: One score a row.
        count: How many classes there are; those without examples have the mean score.
        cost: Of the squared coefficients, for inputs that vary by 1 together.
    """
    known = ~np.isnan(targets)
    coefficients = np.zeros((count, inputs.shape[1]), np.float32)
    bias = np.full(count, targets[known].mean(), np.float32)
    penalty = cost * inputs.var(axis=0).sum() * np.eye(inputs.shape[1])
    for one in np.unique(classes[known]):
        mine = known & (classes == one)
        rows, scores = inputs[mine].astype(np.float64), targets[mine]
        mean, score = rows.mean(axis=0), scores.mean()
        rows -= mean
        fitted = np.linalg.solve(rows.T @ rows + penalty, rows.T @ (scores - score))
        coefficients[one], bias[one] = fitted, score - mean @ fitted
    return ClassLinear(coefficients, bias)


def fit_kernel(
    inputs: NDArray[np.float32], targets: FloatArray, weight: NDArray[np.float32], examples: int
) -> Kernel:
    """Return a kernel regression fitted to all rows whose targets are not NaN.

    It is the Nyström approximation: Williams and Seeger, "Using the Nyström Method to Speed Up
    Kernel Machines", 2001.

    Args:
        inputs: One row an example.
        targets: A column for each score.
        weight: Of each input beside the others; the smaller, the farther examples reach.
        examples: How many it remembers, drawn at random.
    """
    rows, scores = _known(inputs, targets)
    mean, deviation = _moments(rows)
    drawn = rows[np.random.default_rng(1).permutation(len(rows))[:examples]]
    remembered = scaled(drawn, mean, deviation, weight).astype(np.float16)
    bias = scores.mean(axis=0).astype(np.float32)
    empty = np.zeros((len(remembered), len(bias)), np.float32)
    kernel = Kernel(mean, deviation, weight, remembered, empty, bias)
    likeness = kernel.likeness(rows).astype(np.float64)
    among = kernel.likeness(drawn).astype(np.float64)
    cost = _KERNEL_COST * (among + _JITTER * np.eye(len(among)))
    fitted = np.linalg.solve(likeness.T @ likeness + cost, likeness.T @ (scores - bias))
    return replace(kernel, scores=fitted.astype(np.float32))


def _known(
    inputs: NDArray[np.float32], targets: FloatArray
) -> tuple[NDArray[np.float32], FloatArray]:
    known = ~np.isnan(targets).any(axis=1)
    return inputs[known], targets[known]


def _moments(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return rows.mean(axis=0), rows.std(axis=0) + np.float32(_LEAST_DEVIATION)
