"""What is put before a model, and who makes tokens of it; types alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from models.media.processor import PlacedImage
from models.profile.call_format import CallFormat
from models.profile.profile import Profile
from models.profile.sampling_defaults import SamplingDefaults
from models.profile.thinking import ThinkTags


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a turn puts before the model."""

    instructions: str | None
    items: Sequence[dict[str, Any]]
    verbosity: str | None = None
    effort: str | None = None
    """How much the model is to think; None leaves it to the template."""
    tools: Sequence[dict[str, Any]] = ()
    """The functions that the model is told of, as chat templates take them."""
    tool_prompt: str | None = None
    """What the system message says of tools of the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPrompt:
    """A prompt as the engine takes it."""

    token_ids: list[int]
    images: list[PlacedImage] = field(default_factory=list)
    opens_thought: bool = False
    """Whether it ends within a thought, which the model goes on with."""
    answers_call: bool = False
    """Whether what a function has returned is the newest of it."""

    def __len__(self) -> int:
        """Its number of tokens."""
        return len(self.token_ids)


class ChatEncoder(Protocol):
    """Renders prompts for one model and knows the model's limits and defaults."""

    model_id: str
    context_length: int
    """Tokens of prompt and output together."""
    vocab_size: int
    """Token ids are smaller than this."""
    sampling: SamplingDefaults
    """How its tokens are drawn where a request does not say."""
    media: frozenset[str]
    """The types of content parts that the model takes beside text."""
    think_tags: ThinkTags | None
    """How the model spells its thoughts; None if it is not known to have any."""
    profile: Profile
    """How the model is told of functions and calls them."""
    tokenizer: Any
    """As transformers loads it; None for the scripted engine."""

    def encode(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt, ending where the assistant's turn begins."""

    def encode_media(self, prompt: Prompt) -> EncodedPrompt:
        """The same with what the tokens of images stand for."""

    def encode_result(self, result: str, effort: str | None) -> list[int]:
        """What comes after a call of a tool: its result, and that it is the assistant's turn."""

    def opener_ids(self, call_format: CallFormat) -> list[int]:
        """The tokens that a call begins with."""

    def special_id(self, text: str) -> int | None:
        """The token that a text is, if it is one that no other text holds."""

    def check_part(self, part: dict[str, Any], param: str) -> None:
        """Raise an `InvalidRequestError` for a part that a prompt cannot hold."""

    def token_texts(self) -> list[bytes]:
        """The text of every token by its id; takes a second."""
