"""Forward pass on CPUs in OpenVINO, as a graph traced from the transformers model."""
