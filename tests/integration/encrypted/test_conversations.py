"""Conversations, with content keys."""

from tests.integration.api.test_conversations import *  # noqa: F403
