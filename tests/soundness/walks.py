"""Random walks over the masks of a grammar, one byte at a time."""

import random
from functools import cache
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from models.grammars.isolation.bounds import GRAMMAR_LIMITS
from models.grammars.tokenizer import grammar_tokenizer
from tests.unit.models.tiny_tokenizer import tiny_tokenizer
from worker.engine.sampling.grammar import token_texts
from worker.engine.sampling.json_names import JsonNames, TokenQuotes

MAX_TOKENS = 160
END = 0.5
"""Probability to end where a grammar allows it."""


class DeadEndError(AssertionError):
    """A grammar allows no token though it is not complete."""


@cache
def tokenizer() -> LLTokenizer:
    """Return a tokenizer with a token for each byte."""
    return grammar_tokenizer(tiny_tokenizer())


@cache
def quotes() -> TokenQuotes:
    """Return the tokens that have quotation marks."""
    return TokenQuotes(token_texts(tokenizer()))


def make_matcher(grammar: str) -> LLMatcher | None:
    """Return a matcher at the start of a grammar; None if the grammar is refused."""
    limits: Any = LLParserLimits(**GRAMMAR_LIMITS, verbose_errors=False)
    matcher = LLMatcher(tokenizer(), grammar, limits=limits, log_level=0)
    if matcher.is_error() or matcher.get_grammar_warnings():
        return None
    matcher.compute_bitmask()
    return None if matcher.is_error() else matcher


def walk(start: LLMatcher, seed: int) -> str | None:
    """Return a random text of a grammar whose output is JSON; None if it does not end soon.

    Raises `DeadEndError` where no token is allowed.
    """
    numbers, matcher, tokens = random.Random(seed), start.deep_copy(), tokenizer()
    names = JsonNames(quotes())
    written: list[int] = []
    while not matcher.is_stopped():
        if len(written) == MAX_TOKENS:
            return None
        mask = np.frombuffer(bytearray(matcher.compute_bitmask()), dtype=np.uint8)
        names.clear_repetitions(mask, matcher)
        allowed = np.flatnonzero(np.unpackbits(mask, bitorder="little"))
        if matcher.is_error() or not allowed.size:
            raise DeadEndError(f"{tokens.decode_bytes(written)!r}: {matcher.get_error()[:200]}")
        others = allowed[allowed != tokens.eos_token]
        is_end = not others.size or (others.size < allowed.size and numbers.random() < END)
        token = tokens.eos_token if is_end else int(numbers.choice(others))
        if is_end:
            break
        matcher.consume_token(token)
        names.advance([token])
        written.append(token)
    if matcher.is_error():
        raise DeadEndError(f"{tokens.decode_bytes(written)!r}: {matcher.get_error()[:200]}")
    return tokens.decode_bytes(written).decode()
