"""Command-line flags, which are absl's."""

from __future__ import annotations

import pytest

import weftwork as tf

flags = pytest.importorskip("weftwork.flags", reason="needs the extra `flags`")


def test_flags_behave_as_absl_s_and_all_of_absl_is_there():
    absl = pytest.importorskip("absl.flags")
    tf.flags.DEFINE_integer("weft_flag", 3, "A number.", lower_bound=0)
    tf.app.flags.DEFINE_multi_enum("weft_choice", ["a"], ["a", "b"], "Some of two.")
    try:
        left = tf.flags.FLAGS(["program", "--weft_flag=5", "rest"])
        assert left == ["program", "rest"]
        assert tf.flags.FLAGS.weft_flag == 5
        assert tf.flags.FLAGS["weft_flag"].default == 3
        assert {"weft_flag", "weft_choice"} <= set(tf.flags.FLAGS)
        assert "weft_flag" in dir(tf.flags.FLAGS)
        assert len(tf.flags.FLAGS) == len(absl.FLAGS)
        with pytest.raises(tf.flags.IllegalFlagValueError):
            tf.flags.FLAGS.weft_flag = -1
        del tf.flags.FLAGS.weft_flag
        assert "weft_flag" not in tf.flags.FLAGS
        assert tf.flags.FlagValues is absl.FlagValues
    finally:
        for name in ("weft_flag", "weft_choice"):
            if name in absl.FLAGS:
                delattr(absl.FLAGS, name)
        absl.FLAGS.unparse_flags()
