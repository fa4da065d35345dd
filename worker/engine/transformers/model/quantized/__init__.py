"""Weights that are quantised in the checkpoint: a reader for each format, and what they become."""
