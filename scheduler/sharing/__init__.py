"""Runs whose nodes are shared out while they go on."""
