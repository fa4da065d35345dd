"""HTTP API: validates and enqueues requests and streams their events, without torch or SQL."""

from api.app import create_app

__all__ = ["create_app"]
