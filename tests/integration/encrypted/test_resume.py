"""Resumption after the loss of a worker, with content keys."""

from tests.integration.worker.test_resume import *  # noqa: F403
