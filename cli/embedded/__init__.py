"""Postgres and Valkey from PyPI wheels, for one machine and for the tests."""

from cli.embedded.postgres import EmbeddedPostgres
from cli.embedded.server import EmbeddedServerError
from cli.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServerError", "EmbeddedValkey"]
