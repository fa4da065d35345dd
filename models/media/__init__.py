"""Image input: decoding within limits, and preprocessing for vision models."""
