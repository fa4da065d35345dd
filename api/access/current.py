"""Caller of the request that is being answered."""

from typing import cast

from flask import g

from models.access.caller import Caller


def current_caller() -> Caller:
    """Return the caller of the current request, whom `authentication` has found."""
    return cast(Caller, g.caller)
