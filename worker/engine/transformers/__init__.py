"""The engine that runs transformers models with continuous batching."""
