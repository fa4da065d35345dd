"""Lists of responses, with content keys."""

import pytest

from tests.integration.api.test_list_responses import *  # noqa: F403

pytestmark = pytest.mark.nightly
