"""The modified discrete cosine transform and its windows."""

from __future__ import annotations

import numpy as np
import pytest

import weftwork as tf


@pytest.mark.parametrize("norm", [None, "ortho"])
@pytest.mark.parametrize("window", [tf.signal.vorbis_window, tf.signal.kaiser_bessel_derived_window, None])
def test_the_inverse_gives_the_signal_back_but_for_its_ends(graph, norm, window):
    signal = np.random.default_rng(0).normal(size=(2, 32)).astype(np.float32)
    changed = tf.signal.mdct(signal, 8, window, norm=norm)
    back = tf.signal.inverse_mdct(changed, window, norm=norm)
    assert changed.shape.as_list() == [2, 7, 4]
    with tf.Session() as session:
        found = session.run(back)
    np.testing.assert_allclose(found[:, 4:-4], signal[:, 4:-4], atol=1e-5)


def test_the_end_may_be_padded_and_lengths_are_multiples_of_four(graph):
    assert tf.signal.mdct(tf.zeros([30]), 8, pad_end=True).shape.as_list() == [8, 4]
    with pytest.raises(ValueError, match="multiple of 4"):
        tf.signal.mdct(tf.zeros([30]), 6)


def test_windows_of_overlapping_frames_add_up_to_one(graph):
    with tf.Session() as session:
        vorbis, derived, kaiser = session.run(
            [tf.signal.vorbis_window(8), tf.signal.kaiser_bessel_derived_window(8), tf.signal.kaiser_window(5, 3.0)]
        )
    for window in (vorbis, derived):
        np.testing.assert_allclose(window[:4] ** 2 + window[4:] ** 2, 1, rtol=1e-6)
    np.testing.assert_allclose(kaiser, np.kaiser(5, 3.0), rtol=1e-6)
