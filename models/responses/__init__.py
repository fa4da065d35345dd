"""A response as it is stored, and as clients see it."""
