"""Playground: a form for requests, made from the types that validate them."""
