"""Adapters (LoRA): checked, and merged into the model that they were trained for."""
