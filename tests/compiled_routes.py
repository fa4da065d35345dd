"""Routes whose builders of addresses are compiled once, for all apps of a test run.

Compiling them takes longer than the rest of `create_app`, and most tests create an app.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from flask import Flask
from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]


class CompiledRule(Rule):
    """Rule that shares its builders with equal rules; they take the rule as an argument."""

    _builders: ClassVar[dict[tuple[Any, ...], Builder]] = {}

    def _compile_builder(self, append_unknown: bool = True) -> Builder:
        key = (self.rule, *self._trace, repr(self.defaults), append_unknown)
        if key not in self._builders:
            self._builders[key] = super()._compile_builder(append_unknown)
        return self._builders[key]


def share_compiled_routes() -> None:
    """Let all apps use such routes."""
    Flask.url_rule_class = CompiledRule
