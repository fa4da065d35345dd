"""What callers of an engine see: requests in, deltas out, one protocol for every engine.

Plain data only: importing this loads no tensor library.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from worker.engine.params import SamplingParams


class RequestTooLargeError(ValueError):
    """The prompt leaves no room for a single token in this engine's context."""


class EngineStoppedError(RuntimeError):
    """The engine has been stopped and takes no more requests."""


class UnsupportedModelError(Exception):
    """The engine cannot run this model correctly; the message says why."""


class ModelTooLargeError(Exception):
    """Weights and cache do not fit into the memory that is free; the message has the figures."""


class FinishReason(StrEnum):
    """Why a sequence ended."""

    STOP = "stop"
    """The model ended its answer."""
    LENGTH = "length"
    """`max_tokens` or the context is used up."""
    GRAMMAR = "grammar"
    """The grammar is complete and allows nothing more."""
    ABORTED = "aborted"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptImage:
    """An image within a prompt."""

    digest: bytes
    """Of its content; images of equal digest have equal `inputs`."""
    positions: Sequence[int]
    """Which tokens of the prompt stand for it, rising: one for each row of its features."""
    inputs: Mapping[str, Any]
    """Arrays by the names that the network's `get_image_features` calls its arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedPrefix:
    """Tokens that an answer begins with if the first of them comes near enough to the likeliest."""

    token_ids: Sequence[int]
    margin: float
    """How far the logit of the first may lie below the highest; with -inf, none begins with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One generation; `generated` holds the tokens of an earlier attempt that it continues.

    Tokens in `generated` count toward `max_tokens` and are not delivered again. Several requests
    with one prompt, as for several choices of one response, share its blocks: it is computed once.
    """

    sequence_id: str
    prompt: Sequence[int]
    params: SamplingParams
    generated: Sequence[int] = ()
    grammar: str | None = None
    """An llguidance grammar, as `LLMatcher.grammar_from_…` write it."""
    opening: ForcedPrefix | None = None
    cache_salt: bytes = b""
    """Cached prompt prefixes are shared among equal salts only."""
    images: Sequence[PromptImage] = ()
    """In the order of their tokens."""


LOGPROB_FLOOR = -9999.0


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Natural logarithms of probabilities as the model gave them: before bias, penalties, grammar
    and temperature. None is below `LOGPROB_FLOOR`, also that of a token the model rules out."""

    drawn: float
    """That of the token that was drawn."""
    top: tuple[tuple[int, float], ...]
    """The likeliest tokens with theirs, falling, as many as were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What one step adds to one sequence; the last one carries `finish_reason`."""

    sequence_id: str
    token_id: int | None
    finish_reason: FinishReason | None = None
    error: str | None = None
    num_cached_tokens: int = 0
    """Prompt tokens whose keys and values were found in the prefix cache."""
    logprobs: Logprobs | None = None
    """Those of the token, where the request asks for them."""


StepListener = Callable[[list[Delta]], None]
"""Called on the engine thread, once per step, with the deltas of all sequences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What a `TransformersEngine` loads and how much it may hold."""

    folder: Path
    """config.json, safetensors and tokenizer files."""
    kv_cache_bytes: int
    """On a GPU nine tenths of what the weights leave free are taken instead."""
    max_sequences: int
    """Sequences that run at a time; more wait."""
    dtype: Literal["auto", "float32", "bfloat16", "int8", "int4"] = "auto"
    """`auto` is the one that the device computes fastest; `int8` and `int4` keep the weights in so
    many bits and compute in that one."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    forward: Literal["auto", "openvino", "torch"] = "auto"
    """What computes the network; `auto` is OpenVINO on CPUs, where it can, and torch elsewhere."""
    kv_cache_dtype: Literal["auto", "int8"] = "auto"
    """Of cached keys and values; `auto` is the type that is computed in. OpenVINO only."""
    graph_folder: Path | None = None
    """Where networks that were converted for OpenVINO are kept; None keeps none."""
    has_random_weights: bool = False
    """For benchmarks: the folder needs no more than a config.json."""
    max_batch_tokens: int = 512
    """Tokens of one step; longer prompts are computed in chunks."""
    num_threads: int | None = None
    """CPU threads of the forward pass; as many as there are cores if not given."""
    grammar_limits: Mapping[str, Any] = field(default_factory=dict)
    """Bounds on the work of one grammar, as `LLParserLimits` names them; its own if not given."""
    image_sample: GenerationRequest | None = None
    """A prompt with an image, to try the network with; None if it is to take no images."""


class Engine(Protocol):
    """Generates for many sequences at once on a thread of its own."""

    def start(self) -> None:
        """Start the engine thread."""

    def stop(self) -> None:
        """Abort every sequence and join the thread; idempotent."""

    def submit(self, request: GenerationRequest) -> None:
        """Queue a request; safe from any thread, returns before its first token.

        Raises `RequestTooLargeError` if it can never fit, `EngineStoppedError` after `stop`, and
        `ValueError` for token ids the model has not, images it does not take or a `sequence_id`
        that is still in use.
        """

    def abort(self, sequence_id: str) -> None:
        """End a sequence at the next step with `ABORTED`; an unknown id is ignored."""

    @property
    def context_length(self) -> int:
        """Most tokens, prompt included, of one sequence."""

    @property
    def last_step_age_s(self) -> float | None:
        """Seconds since the last step ended or work arrived; None while idle."""

    @property
    def is_stuck(self) -> bool:
        """Whether the step in progress takes longer than any that does its work should."""

    @property
    def is_lost(self) -> bool:
        """Whether the device has failed, so that this process can compute nothing any more.

        What is running then gets no more deltas, not even its last, until the engine is stopped.
        """

    @property
    def num_running(self) -> int:
        """Sequences in the batch."""

    @property
    def num_waiting(self) -> int:
        """Sequences submitted and not in the batch yet."""


class Tokenizer(Protocol):
    """The part of a `tokenizers.Tokenizer` that turns ids into text."""

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of the ids, special tokens left out."""
