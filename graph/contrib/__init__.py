"""Parts of tf.contrib that programs depend on: layers, arg_scope, regularizers, HParams, seq2seq."""
