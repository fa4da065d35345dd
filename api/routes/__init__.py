"""One blueprint per resource, with its paths and query strings."""
