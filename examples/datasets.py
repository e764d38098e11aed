"""The data that several examples use."""

# scikit-learn has no types:
# pyright: reportMissingTypeStubs=false

import numpy as np
from sklearn.datasets import load_digits

TRAINED = 1500
"""How many images are for training; the others are for testing."""


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images of handwritten digits, `[1797, 64]` from 0 to 1, and their labels, `[1797]`, in random order."""
    data: tuple[np.ndarray, np.ndarray] = load_digits(return_X_y=True)  # type: ignore[assignment]
    images, labels = data
    order = np.random.RandomState(0).permutation(len(images))
    return (images[order] / 16).astype(np.float32), labels[order].astype(np.int64)
