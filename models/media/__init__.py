"""Images: decoding within limits, and the processor of a vision model."""
