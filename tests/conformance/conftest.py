"""Fixtures: the API on real servers with the scripted engine, shared by all tests of a module."""

from tests.integration.conftest import *  # noqa: F403
