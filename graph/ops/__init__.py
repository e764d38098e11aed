"""TensorFlow's operations: thin names over NumPy."""
