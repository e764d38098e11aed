"""The data of several examples."""

# scikit-learn has no types:
# pyright: reportMissingTypeStubs=false

import numpy as np
from sklearn.datasets import load_digits

TRAINED = 1500
"""The first so many images are for training, the others for testing."""


def digits() -> tuple[np.ndarray, np.ndarray]:
    """8 x 8 images in rows, from 0 to 1, and the digits on them."""
    data: tuple[np.ndarray, np.ndarray] = load_digits(return_X_y=True)  # type: ignore[assignment]
    images, labels = data
    order = np.random.RandomState(0).permutation(len(images))
    return (images[order] / 16).astype(np.float32), labels[order].astype(np.int64)
