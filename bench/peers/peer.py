"""Interface of a peer: its name, its precisions, and its start.

Independent of any particular peer, and of what is measured.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Precision(StrEnum):
    """Precision of weights, and of arithmetic where the processor has the instructions."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    INT4 = "int4"


class Isa(StrEnum):
    """Newest instruction set of the processor that peers use."""

    NATIVE = "native"
    AVX2 = "avx2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Parameters that every peer is started with."""

    weights: Path
    """Folder with config.json, tokenizer.json and safetensors."""
    precision: Precision
    num_threads: int
    isa: Isa
    max_streams: int
    max_tokens: int
    """Tokens of a prompt and its answer together, at most."""


@dataclass(frozen=True, slots=True)
class Load:
    """Streams of one burst."""

    num_streams: int
    num_constrained: int = 0
    """Number of those whose answers are held to a JSON schema."""

    def __str__(self) -> str:
        by_schema = f", {self.num_constrained} by a schema" if self.num_constrained else ""
        return f"{self.num_streams}{by_schema}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """Result of prompts that were submitted at once."""

    seconds: float
    """Seconds from the first prompt to the end of the last answer."""
    num_tokens: int
    """Output tokens of all answers."""
    first_token_s: Sequence[float]
    """Seconds to the first token, of each prompt that got one."""


class Runner(Protocol):
    """Running peer."""

    @property
    def pid(self) -> int:
        """Process id of the peer; all its other processes are descendants."""

    def run(self, prompts: Sequence[str], num_tokens: int, num_constrained: int = 0) -> Burst:
        """Answer all prompts at once, each greedily with exactly `num_tokens` tokens.

        The first `num_constrained` answers are the beginnings of JSON of a schema. Raises
        `BenchError` if that fails.
        """


class Peer(Protocol):
    """Server or engine to measure."""

    @property
    def name(self) -> str:
        """Name, as its authors spell it."""

    @property
    def is_over_http(self) -> bool:
        """True if its measurements include HTTP, chat template and tokenization."""

    @property
    def formats(self) -> Mapping[Precision, str]:
        """Its own names of the precisions that it supports."""

    @property
    def avx2_note(self) -> str:
        """Extent to which it can be limited to AVX2, and the means, as published."""

    def version(self) -> str:
        """Return the installed version; raise `BenchError` if it is not installed."""

    def start(self, setup: Setup) -> AbstractContextManager[Runner]:
        """Start it, and stop it after; raise `BenchError` if it does not start."""
