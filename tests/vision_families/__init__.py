"""Tiny random networks of families of vision models, with the files that their processors need."""
