"""Load generator: request bodies, plain requests and streams."""
