"""Parts of the engine benchmark: ours, transformers and the memory bound."""
