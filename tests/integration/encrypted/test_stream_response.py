"""Streams, with content keys."""

from tests.integration.api.test_stream_response import *  # noqa: F403
