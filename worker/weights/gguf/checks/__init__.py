"""Checks of a GGUF file by its header alone, without torch and transformers."""
