"""Scores from scaled inputs."""

import numpy as np

from loqua_speech.pronunciation.regression import ClassLinear, Kernel, Linear, Quadratic

MEAN, DEVIATION = np.array([1, 10], np.float32), np.array([1, 2], np.float32)
BIAS = np.array([5, 6], np.float32)
LINEAR = Linear(
    mean=MEAN,
    deviation=DEVIATION,
    weight=np.array([1, 2], np.float32),
    coefficients=np.array([[1, 0], [1, 3]], np.float32),
    bias=BIAS,
)
KERNEL = Kernel(
    mean=MEAN,
    deviation=DEVIATION,
    weight=np.array([1, 2], np.float32),
    examples=np.array([[0, 0], [3, 6]], np.float16),
    scores=np.array([[1, 2], [-1, 0]], np.float32),
    bias=BIAS,
)


def predict(regression: Linear | Quadratic | Kernel, *inputs: float) -> list[float]:
    """Return the score of one row of inputs."""
    [scores] = regression.predict(np.array([inputs], np.float32))
    return [round(float(it), 3) for it in scores]


def test_sums_are_of_weighted_deviations_from_the_mean() -> None:
    """One deviation of the first input counts 1, one of the second 2."""
    assert predict(LINEAR, 1, 10) == [5, 6]
    assert predict(LINEAR, 2, 12) == [5 + 1 + 2, 6 + 3 * 2]


def test_one_odd_input_does_not_decide() -> None:
    """It is cut at five deviations."""
    assert predict(LINEAR, 1e9, 10) == [10, 6]


def test_products_of_directions_add_to_the_sums() -> None:
    """The first score counts the square of one direction, the second its product with another."""
    quadratic = Quadratic(
        mean=MEAN,
        deviation=DEVIATION,
        weight=LINEAR.weight,
        coefficients=LINEAR.coefficients,
        directions=np.array([[1, 0], [0, 0.5]], np.float16),
        products=np.array([[[2, 0], [0, 0]], [[0, 1], [0, 0]]], np.float32),
        bias=BIAS,
    )
    sums = predict(LINEAR, 4, 16)

    assert predict(quadratic, 1, 10) == [5, 6]
    assert predict(quadratic, 4, 16) == [sums[0] + 2 * 3 * 3, sums[1] + 3 * 3]


def test_what_is_like_an_example_has_its_scores() -> None:
    """The other example is too far to count."""
    assert predict(KERNEL, 1, 10) == [6, 8]
    assert predict(KERNEL, 4, 16) == [4, 6]


def test_likeness_fades_with_the_weighted_distance() -> None:
    """One deviation of the first input is a distance of 1, half of one of the second as well."""
    away = [round(5 + float(np.exp(-1)), 3), round(6 + 2 * float(np.exp(-1)), 3)]
    assert predict(KERNEL, 0, 10) == predict(KERNEL, 1, 9) == away


def test_what_is_like_no_example_has_the_mean_scores() -> None:
    """However far it is."""
    assert predict(KERNEL, -1e9, 1e9) == [5, 6]


def test_each_class_has_weights_of_its_own() -> None:
    """The same inputs mean something else for another phone."""
    regression = ClassLinear(
        coefficients=np.array([[1, 0], [0, 2]], np.float32), bias=np.array([0, 5], np.float32)
    )
    scores = regression.predict(np.array([0, 1]), np.array([[3, 4], [3, 4]], np.float32))

    assert scores.tolist() == [3, 5 + 2 * 4]
