"""Fixtures: everything on real servers, in this process and as processes."""

from tests.acceptance.conftest import *  # noqa: F403
from tests.integration.conftest import *  # noqa: F403
