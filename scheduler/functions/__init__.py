"""Functions: plain Python functions that are traced into graphs, and the session behind them."""
