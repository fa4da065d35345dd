"""Code that runs in the environments of peers, with their packages and the standard library."""
