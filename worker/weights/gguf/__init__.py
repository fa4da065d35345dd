"""Conversion of GGUF files to folders of safetensors: metadata to config.json, tensors by name."""
