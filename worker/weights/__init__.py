"""Downloading and converting model weights."""
