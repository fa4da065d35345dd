"""Conversion of a network for OpenVINO: a graph traced from the transformers model."""
