"""What a peer is: a name, the precisions it computes in, and how it is started.

Knows nothing of any one peer, and nothing of what is measured.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Precision(StrEnum):
    """Of weights, and of sums where a processor has the instructions."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    INT4 = "int4"


class Isa(StrEnum):
    """Up to which instructions of the processor are used."""

    NATIVE = "native"
    AVX2 = "avx2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What every peer is started with."""

    weights: Path
    """A folder with config.json, tokenizer.json and safetensors."""
    precision: Precision
    num_threads: int
    isa: Isa
    max_streams: int
    max_tokens: int
    """Of a prompt and its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What came of prompts that were handed over at once."""

    seconds: float
    """From the first prompt to the end of the last answer."""
    num_tokens: int
    """Of all answers; those of prompts are not counted."""
    first_token_s: Sequence[float]
    """Of each prompt that got a token."""


class Runner(Protocol):
    """A peer that is up."""

    @property
    def pid(self) -> int:
        """The process above all that work for it."""

    def run(self, prompts: Sequence[str], num_tokens: int) -> Burst:
        """Answer all at once, each greedily with exactly `num_tokens`; raises `BenchError`."""


class Peer(Protocol):
    """One row of the table for each precision and number of streams."""

    @property
    def name(self) -> str:
        """As its authors write it."""

    @property
    def is_over_http(self) -> bool:
        """Whether HTTP, chat template and tokenizing are in its figures."""

    @property
    def formats(self) -> Mapping[Precision, str]:
        """What it calls the precisions that it has."""

    @property
    def held_to_avx2(self) -> str:
        """How far it can be held to AVX2, and by what."""

    def version(self) -> str:
        """Of what is installed; raises `BenchError` if nothing is."""

    def start(self, setup: Setup) -> AbstractContextManager[Runner]:
        """Bring it up, and end it after; raises `BenchError`."""
