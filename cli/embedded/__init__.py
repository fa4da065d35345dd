"""Postgres and Valkey servers from PyPI wheels, for a single machine and for the tests."""

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.server import EmbeddedServerError
from cli.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServerError", "EmbeddedValkey"]
