"""Judgement of checkpoints by configuration, names and headers, before any weights are read."""
