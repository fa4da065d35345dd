"""The forward pass in torch: the reference, and what GPUs run."""
