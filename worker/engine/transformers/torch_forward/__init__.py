"""Forward pass in torch: the reference implementation, and the one for GPUs."""
