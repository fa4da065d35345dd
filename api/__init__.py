"""HTTP: parse, check, enqueue, stream. No torch, no SQL."""

from api.app import create_app

__all__ = ["create_app"]
