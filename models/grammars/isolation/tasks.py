"""Work that is done in a child: everything in which a client's grammar reaches the compiler."""

import time
from typing import Any

import llguidance
import numpy as np
import orjson

from models.grammars.isolation.bounds import GRAMMAR_LIMITS
from models.grammars.isolation.loaded_tokenizer import LoadedTokenizer
from models.grammars.validators import Language, UnknownValidityError, find_fault

PROBE_STEPS = 64
"""Maximum number of tokens that a grammar is followed for."""
MIN_PROBE_STEPS = 3
"""Minimum number of tokens that a grammar is followed for, however long it takes."""
PROBE_CPU_S = 0.4
"""CPU seconds after which a grammar is not followed beyond the minimum."""

_MAX_MESSAGE = 500
_CLEARER = (
    ("NoExtensionBias", "there is no output that it allows"),
    (
        "coerce_one_of",
        "oneOf: its branches may overlap; use anyOf, or branches that differ in type, in constants "
        "or in a required property with a constant of its own",
    ),
    ("; Start in regex", "^ is supported at the beginning of a pattern only"),
    ("; End in regex", "$ is supported at the end of a pattern only"),
    ("; Word", r"\b and \B are not supported in patterns"),
    ("are not disjoint", "patternProperties: two patterns may match one name"),
)
"""Parts of llguidance's messages, and what is said instead."""


def run_task(request: dict[str, Any], tokenizer: LoadedTokenizer | None) -> Any:
    """Run the task that a request names, and return its result, which JSON can represent."""
    match request["task"]:
        case "follow":
            assert tokenizer is not None
            return follow(tokenizer, request["grammar"])
        case "warnings":
            return find_warnings(request["grammar"])
        case "validate":
            return validate(**orjson.loads(request["grammar"]))
        case task:
            raise ValueError(f"there is no task {task!r}")


def validate(language: Language, source: str, text: str) -> dict[str, Any]:
    """Return the fault of a finished text, or why it cannot be validated."""
    try:
        return {"is_unknown": False, "message": find_fault(language, source, text)}
    except UnknownValidityError as error:
        return {"is_unknown": True, "message": str(error)[:_MAX_MESSAGE]}


def find_warnings(grammar: str) -> list[str]:
    """Return the errors and warnings of a grammar, whatever the tokenizer."""
    limits = llguidance.LLParserLimits(**GRAMMAR_LIMITS, verbose_errors=False)
    _, messages = llguidance.LLMatcher.validate_grammar_with_warnings(grammar, None, limits=limits)
    return [message[:_MAX_MESSAGE] for message in messages]


def follow(tokenizer: LoadedTokenizer, grammar: str) -> str:
    """Compile a grammar and follow it for some tokens; return the error, or an empty string.

    The constructor and the first mask are those of the engine. Then it is followed for 3 tokens, or
    up to 64 if that is cheap, since the state of some grammars grows exponentially only later. The
    longest tokens get there soonest: the limits on `(a{1,1000}){1,1000}` are reached after a few
    hundred characters. A grammar that exceeds the limits still later fails its own response.
    """
    # Verbose errors would put parts of a client's schema into logs.
    limits = llguidance.LLParserLimits(**GRAMMAR_LIMITS, verbose_errors=False)
    matcher: Any = llguidance.LLMatcher(tokenizer.tokens, grammar, limits=limits, log_level=0)
    # Options in a schema can turn errors into warnings; here every warning is an error.
    if warnings := matcher.get_grammar_warnings():
        return str(warnings[0])[:_MAX_MESSAGE]
    _consume_longest(tokenizer, matcher)
    if not matcher.is_error():
        return ""
    error = str(matcher.get_error()).removesuffix("<non-verbose/>").strip()
    clearer = (text for part, text in _CLEARER if part in error)
    return next(clearer, error)[:_MAX_MESSAGE]


def _consume_longest(tokenizer: LoadedTokenizer, matcher: Any) -> None:
    """Feed allowed tokens until the grammar ends, fails, or has been followed long enough."""
    deadline = time.thread_time() + PROBE_CPU_S
    sizes = np.empty_like(tokenizer.sizes)
    for step in range(PROBE_STEPS):
        is_late = step >= MIN_PROBE_STEPS and time.thread_time() > deadline
        if is_late or matcher.is_error():
            return
        mask = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        is_allowed = np.unpackbits(mask, count=len(tokenizer.sizes), bitorder="little")
        np.multiply(tokenizer.sizes, is_allowed, out=sizes)
        longest = int(sizes.argmax())
        if not sizes[longest]:
            return
        matcher.consume_token(longest)
