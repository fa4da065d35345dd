"""Composition of the batch of a step: scheduling, cache blocks and packing."""
