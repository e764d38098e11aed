"""A random search for the settings of a model, on all cores. Each try is a node, and so is the data that they share.

Prints the three best settings with their accuracy.
"""

# scikit-learn has no types:
# pyright: basic

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import train_test_split

import weftwork


@weftwork.op(outputs=4)
def data():
    """Images and labels, for training and for testing: x, x_test, y, y_test."""
    return train_test_split(*load_digits(return_X_y=True), random_state=0)


@weftwork.op
def accuracy(settings: dict[str, Any], x: np.ndarray, x_test: np.ndarray, y: np.ndarray, y_test: np.ndarray) -> float:
    """The accuracy of a model with these settings on the test images."""
    return ExtraTreesClassifier(random_state=0, **settings).fit(x, y).score(x_test, y_test)


def main(tries: int = 16) -> float:
    """Search, and return the best accuracy."""
    rng = np.random.default_rng(0)
    settings = [
        {
            "n_estimators": int(rng.integers(2, 30)),
            "max_depth": int(rng.integers(2, 15)),
            "min_samples_leaf": int(rng.integers(1, 9)),
        }
        for _ in range(tries)
    ]
    parts = data()
    scores = [accuracy(one, *parts) for one in settings]
    with weftwork.Session() as session:
        found = session.run(scores)
    best = sorted(zip(found, settings, strict=True), key=lambda pair: -pair[0])
    for score, one in best[:3]:
        print(f"accuracy {score:.3f} with {one}")
    return best[0][0]


if __name__ == "__main__":
    main()
