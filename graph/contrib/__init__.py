"""What stood in tf.contrib and stands for something outside of it: layers, arg_scope, regularizers, HParams."""
