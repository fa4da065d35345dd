"""The API over real servers and the scripted engine, for all tests of a module together."""

from tests.integration.conftest import *  # noqa: F403
