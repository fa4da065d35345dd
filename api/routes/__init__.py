"""Flask blueprints, one per resource, with their paths and query strings."""
