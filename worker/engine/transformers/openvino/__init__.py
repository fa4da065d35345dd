"""The forward pass on CPUs in OpenVINO: a graph traced from the transformers model."""
