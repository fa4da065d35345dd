"""Engine for transformers models with continuous batching."""
