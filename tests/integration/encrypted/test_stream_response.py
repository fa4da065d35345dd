"""Streams, with content keys."""

import pytest

from tests.integration.api.test_stream_response import *  # noqa: F403

pytestmark = pytest.mark.nightly
