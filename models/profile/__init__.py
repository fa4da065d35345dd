"""Properties of one set of weights, read from its files and chat template."""
