"""The meaning of functions, wherever they run. Each test states one rule."""
