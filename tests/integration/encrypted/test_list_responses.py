"""Lists of responses, with content keys."""

from tests.integration.api.test_list_responses import *  # noqa: F403
