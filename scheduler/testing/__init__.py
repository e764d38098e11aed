"""tf.test: test cases, numeric derivatives, clusters on this machine."""
