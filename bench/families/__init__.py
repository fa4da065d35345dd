"""Comparison of the engine with transformers on a tiny random network of each model family."""
