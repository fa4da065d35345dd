"""From `text.format` to a grammar, checked before the request is accepted.

outlines' types say what a constraint is; llguidance, its backend that refuses what it cannot
enforce, makes the grammar. It accepts some grammars whose first mask then fails or explodes, so the
first mask is computed here, within limits; what passes will not fail for its grammar in the worker.
"""

from functools import lru_cache
from typing import Any

import llguidance
import llguidance.hf
import orjson
from jsonschema.exceptions import SchemaError
from outlines.types import JsonSchema
from transformers import PreTrainedTokenizerFast

from models.errors import InvalidRequestError
from models.wire.request import GenerationParameters, JsonSchemaFormat

LIMITS = llguidance.LLParserLimits(
    initial_lexer_fuel=300_000,
    step_lexer_fuel=200_000,
    step_max_items=20_000,
    max_grammar_size=50_000,
    max_lexer_states=20_000,
    # Messages must not carry parts of a client's schema into our logs.
    verbose_errors=False,
)
"""Bounds on one grammar; measured: the worst accepted one takes 0.15 s and 50 MB."""

SCHEMA_PARAM = "text.format.schema"

_MAX_CHECKED = 256


def grammar_of(parameters: GenerationParameters) -> str | None:
    """The llguidance grammar that the output must follow; None for free text."""
    chosen = parameters.text.format if parameters.text else None
    if not isinstance(chosen, JsonSchemaFormat):
        return None
    return _from_schema(orjson.dumps(chosen.schema_).decode())


@lru_cache(maxsize=_MAX_CHECKED)
def _from_schema(schema: str) -> str:
    """The order of keys is kept: it is the order in which properties are written."""
    try:
        described = JsonSchema(schema)
    except SchemaError as error:
        raise _refusal(f"{error.message} at {error.json_path}", SCHEMA_PARAM) from None
    except RecursionError:
        raise _refusal("it is nested too deeply", SCHEMA_PARAM) from None
    grammar: str = llguidance.LLMatcher.grammar_from_json_schema(described.schema)
    return grammar


def _refusal(reason: str, param: str) -> InvalidRequestError:
    message = f"Invalid schema for {param}: {reason}"
    return InvalidRequestError(message, param=param, code="invalid_json_schema")


class GrammarChecker:
    """Says whether a grammar works with the tokenizer of the served model."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = llguidance.hf.from_tokenizer(tokenizer)
        self._first_error = lru_cache(maxsize=_MAX_CHECKED)(self._compile)

    def check(self, grammar: str, *, param: str) -> None:
        """Raise a 400 with the compiler's message if the grammar cannot be followed."""
        error = self._first_error(grammar)
        if error:
            raise _refusal(error, param)

    def _compile(self, grammar: str) -> str:
        matcher: Any = llguidance.LLMatcher(self._tokenizer, grammar, limits=LIMITS, log_level=0)
        if not matcher.is_error():
            matcher.compute_bitmask()
        return str(matcher.get_error()) if matcher.is_error() else ""
