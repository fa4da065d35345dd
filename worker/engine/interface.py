"""Interface of an engine: requests in, deltas out, one protocol for every engine.

Plain data only: importing this loads no tensor library.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from worker.engine.params import SamplingParams


class RequestTooLargeError(ValueError):
    """The prompt fills the engine's context and leaves no room for a token."""


class EngineStoppedError(RuntimeError):
    """The engine has been stopped and accepts no more requests."""


class UnsupportedModelError(Exception):
    """The engine cannot run this model correctly; the message says why."""


class BadCheckpointError(UnsupportedModelError):
    """The weights are incomplete, damaged or in a format that is not read; the message says how."""


class ModelTooLargeError(Exception):
    """Weights and KV cache do not fit into the free memory; the message has the figures."""


class FinishReason(StrEnum):
    """Reason for the end of a sequence."""

    STOP = "stop"
    """The model ended its answer with an end-of-sequence token."""
    LENGTH = "length"
    """`max_tokens` or the context length is reached."""
    GRAMMAR = "grammar"
    """The grammar is complete and allows nothing more."""
    ABORTED = "aborted"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptImage:
    """An image within a prompt."""

    digest: bytes
    """Digest of its content; images of equal digest have equal `inputs`."""
    positions: Sequence[int]
    """Indices of its placeholder tokens in the prompt, ascending, one for each feature row."""
    inputs: Mapping[str, Any]
    """Arrays by the argument names of the network's `get_image_features`."""
    decode: Callable[[], Any]
    """Function that returns the image, an RGB `PIL.Image`, where an engine prepares it itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedPrefix:
    """Tokens that an answer must begin with if the logit of the first is close to the highest."""

    token_ids: Sequence[int]
    threshold: float
    """Largest distance of the first token's logit below the highest; -inf forbids the token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonOutput:
    """Output that is JSON, but for free text between two delimiters."""

    begins_free: bool = False
    """True if the output begins with free text."""
    opener: str = ""
    """Text before free text; empty if there is none but at the beginning."""
    closer: str | int = ""
    """Text, or token, after free text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One sequence to generate; `generated` holds the tokens of an attempt that it continues.

    Tokens in `generated` count toward `max_tokens` and are not delivered again. Requests with the
    same prompt, such as the choices of one response, share its cache blocks: it is computed once.
    """

    sequence_id: str
    prompt: Sequence[int]
    params: SamplingParams
    generated: Sequence[int] = ()
    grammar: str | None = None
    """An llguidance grammar, in the format that `LLMatcher.grammar_from_…` return."""
    json: JsonOutput | None = None
    """Where the output is JSON because of the grammar; no object has a name twice there."""
    forced_prefix: ForcedPrefix | None = None
    cache_salt: bytes = b""
    """Salt of the prefix cache: prompt prefixes are shared among equal salts only."""
    images: Sequence[PromptImage] = ()
    """Images of the prompt, in the order of their tokens."""
    fairness_key: str = ""
    """Requests with different keys share the computation of prompts equally."""


LOGPROB_FLOOR = -9999.0
"""Lowest log probability reported, also for tokens that the model excludes."""


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Natural log probabilities before bias, penalties, grammar and temperature.

    Values below `LOGPROB_FLOOR` are raised to it, minus infinity included.
    """

    drawn: float
    """Log probability of the token that was drawn."""
    top: tuple[tuple[int, float], ...]
    """Ids and log probabilities of the likeliest tokens, descending, as many as requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Token added to one sequence by one engine step; `finish_reason` is set on the last."""

    sequence_id: str
    token_id: int | None
    finish_reason: FinishReason | None = None
    error: str | None = None
    num_cached_tokens: int = 0
    """Number of prompt tokens found in the prefix cache."""
    logprobs: Logprobs | None = None
    """Log probabilities of the token, if the request asks for them."""


GrammarCheck = Callable[[str], str]
"""Function that returns why a grammar must not be compiled, or an empty string."""
StepListener = Callable[[list[Delta]], None]
"""Callback that receives the deltas of all sequences, once per step, on the engine thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Configuration of a `TransformersEngine` or `VllmEngine`: the model to load and the limits."""

    folder: Path
    """Folder with config.json, safetensors and tokenizer files."""
    kv_cache_bytes: int
    """Bytes of the KV cache; ignored on a GPU, where nine tenths of the free memory are used."""
    max_sequences: int
    """Largest number of sequences in the batch; more wait."""
    dtype: Literal["auto", "float32", "bfloat16", "int8", "int4"] = "auto"
    """Data type of the computation; `auto` is the fastest on the device. With `int8` and `int4` the
    weights are quantised to that width, and the computation uses the type of `auto`."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    forward: Literal["auto", "openvino", "torch"] = "auto"
    """Backend of the forward pass; `auto` is OpenVINO on CPUs where it can, and torch elsewhere."""
    kv_cache_dtype: Literal["auto", "int8"] = "auto"
    """Data type of the KV cache; `auto` is that of the computation. `int8` needs OpenVINO."""
    graph_folder: Path | None = None
    """Folder in which networks converted for OpenVINO are cached; None caches none."""
    has_random_weights: bool = False
    """True for benchmarks without weights: the folder needs only a config.json."""
    max_batch_tokens: int = 512
    """Largest number of tokens in one step; longer prompts are computed in chunks."""
    num_threads: int | None = None
    """Number of CPU threads of the forward pass; defaults to the number of cores."""
    grammar_limits: Mapping[str, Any] = field(default_factory=dict)
    """Limits on one grammar, by the argument names of `LLParserLimits`; defaults to its own."""
    make_grammar_tokenizer: Callable[..., Any] | None = None
    """`models.grammars.tokenizer.grammar_tokenizer`; None if no request has a grammar."""
    find_grammar_error: GrammarCheck = lambda grammar: ""
    """Check of each grammar before it is compiled in this process: limits do not bound that."""
    vllm_args: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of vLLM by name, over those that follow from the other fields."""
    image_sample: GenerationRequest | None = None
    """Prompt with an image to check the loaded model with; None if images are not accepted."""
    load_image_processor: Callable[[Path], Any] | None = None
    """`models.media.processor_loading.load_processor`; None if images are not accepted."""


class Engine(Protocol):
    """Engine that generates tokens for many sequences at once, on a thread of its own."""

    def start(self) -> None:
        """Start the engine thread."""

    def stop(self) -> None:
        """Abort every sequence and join the thread; idempotent."""

    def submit(self, request: GenerationRequest) -> None:
        """Queue a request and return before its first token; thread-safe.

        Raises `RequestTooLargeError` if it can never fit, `EngineStoppedError` after `stop`, and
        `ValueError` for token ids outside the vocabulary, images that the model does not accept or
        a `sequence_id` that is still in use.
        """

    def abort(self, sequence_id: str) -> None:
        """End a sequence at the next step with `ABORTED`; an unknown id is ignored."""

    @property
    def context_length(self) -> int:
        """Largest number of tokens of one sequence, prompt included."""

    @property
    def reads_images(self) -> bool:
        """Return True if prompts may have images."""

    @property
    def last_step_age_s(self) -> float | None:
        """Seconds since the last step ended or work arrived; None while idle."""

    @property
    def is_stuck(self) -> bool:
        """Return True if the current step has exceeded the hang timeout."""

    @property
    def is_lost(self) -> bool:
        """Return True if the device has failed and this process can compute nothing any more.

        Running sequences then get no more deltas, not even the last, until the engine is stopped.
        """

    @property
    def num_running(self) -> int:
        """Number of sequences in the batch."""

    @property
    def num_waiting(self) -> int:
        """Number of sequences submitted and not in the batch yet."""

    def device_memory(self) -> tuple[str, int]:
        """Return the type of its device, and the bytes that this process holds on it."""


class Tokenizer(Protocol):
    """Decoding half of `tokenizers.Tokenizer`: ids to text."""

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of the ids without special tokens."""
