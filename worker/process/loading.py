"""Errors of loading a model: one line for people, the traceback for those who debug."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from worker.engine.interface import ModelTooLargeError, UnsupportedModelError

logger = logging.getLogger(__name__)

_MAX_MESSAGE = 500


class LoadError(Exception):
    """The model could not be loaded; the message says why, in one line."""


@contextmanager
def loading() -> Iterator[None]:
    """Turn every error of the libraries that read a model within the context into `LoadError`."""
    try:
        yield
    except Exception as error:
        logger.debug("loading failed", exc_info=True)
        is_named = isinstance(error, UnsupportedModelError | ModelTooLargeError)
        text = str(error) if is_named else f"{type(error).__name__}: {error}"
        raise LoadError(" ".join(text.split())[:_MAX_MESSAGE]) from error
