"""Judgement of a network before its weights are read: by what it is computed, if at all."""
