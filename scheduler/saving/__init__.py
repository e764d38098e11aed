"""Saving: variables in checkpoints, graphs in MetaGraphDefs, both in SavedModels."""
