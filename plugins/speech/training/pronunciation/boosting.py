"""LightGBM's trees as flat arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.trees import Trees

__all__ = ["PHONE", "SUBSTITUTION", "UTTERANCE", "WORD", "Boosting", "fit_trees"]

_COMMON = {
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "verbose": -1,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # LightGBM's threads wait for each other on a shared machine
}


@dataclass(frozen=True, slots=True)
class Boosting:
    """The hyperparameters of an ensemble, in LightGBM's terms."""

    rounds: int
    learning_rate: float
    num_leaves: int
    min_data_in_leaf: int
    feature_fraction: float
    objective: str = "regression"

    def parameters(self) -> Mapping[str, Any]:
        """Return LightGBM's parameters."""
        return {
            **_COMMON,
            "objective": self.objective,
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
        }


PHONE = Boosting(500, 0.04, 24, 60, 0.2)
WORD = Boosting(500, 0.03, 16, 40, 0.2)
UTTERANCE = Boosting(350, 0.025, 6, 30, 0.3)
SUBSTITUTION = Boosting(300, 0.06, 20, 40, 0.15, objective="binary")


def fit_trees(inputs: NDArray[np.float32], targets: NDArray[np.float64], how: Boosting) -> Trees:
    """Return an ensemble fitted to all rows whose target is not NaN."""
    known = ~np.isnan(targets)
    data = lightgbm.Dataset(inputs[known], targets[known], free_raw_data=True)
    booster = lightgbm.train(dict(how.parameters()), data, how.rounds)
    flat = _Flat([], [], [], [], [], [])
    for tree in booster.dump_model()["tree_info"]:
        flat.root.append(flat.add(tree["tree_structure"]))
    return flat.trees()


@dataclass(frozen=True, slots=True)
class _Flat:
    """The arrays of `Trees`, while they grow."""

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    root: list[int]
    leaf: list[float]

    def add(self, node: Mapping[str, Any]) -> int:
        """Return the number of a node or leaf, added with all below it."""
        if "leaf_value" in node:
            self.leaf.append(node["leaf_value"])
            return -len(self.leaf)
        number = len(self.feature)
        self.feature.append(node["split_feature"])
        self.threshold.append(node["threshold"])
        self.left.append(0)
        self.right.append(0)
        self.left[number] = self.add(node["left_child"])
        self.right[number] = self.add(node["right_child"])
        return number

    def trees(self) -> Trees:
        """Return the arrays."""
        return Trees(
            np.array(self.feature, np.int16),
            np.array(self.threshold, np.float64),
            np.array(self.left, np.int32),
            np.array(self.right, np.int32),
            np.array(self.root, np.int32),
            np.array(self.leaf, np.float32),
        )
