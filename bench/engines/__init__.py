"""Parts of the engine benchmark: our engine, transformers' engine and the memory bound."""
