"""Types of prompts and the interface of the encoders that turn them into tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from models.media.processor import PlacedImage
from models.profile.formats.call_format import CallFormat
from models.profile.profile import Profile
from models.profile.sampling_defaults import SamplingDefaults
from models.profile.thinking import AnswerTags, ThinkTags


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Input of the model for one turn, before the chat template is applied."""

    instructions: str | None
    items: Sequence[dict[str, Any]]
    verbosity: str | None = None
    effort: str | None = None
    """Reasoning effort; None leaves it to the chat template."""
    keeps_reasoning: bool = False
    """True if the reasoning of all turns is shown, also where the chat template leaves it out."""
    tools: Sequence[dict[str, Any]] = ()
    """Function definitions shown to the model, in the format of chat templates."""
    tool_prompt: str | None = None
    """Part of the system message that describes the tools that the server runs."""
    is_generic: bool = False
    """True if tools and calls are written in the generic format, whatever the template takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPrompt:
    """Prompt in the form that the engine takes."""

    token_ids: list[int]
    images: list[PlacedImage] = field(default_factory=list)
    opens_reasoning: bool = False
    """True if the prompt ends inside a reasoning block that the model continues."""
    is_after_tool_output: bool = False
    """True if the last item of the prompt is the output of a function."""

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.token_ids)


class ChatEncoder(Protocol):
    """Interface that renders prompts for one model and knows the model's limits and defaults."""

    model_id: str
    context_length: int
    """Maximum number of tokens in prompt and output together."""
    vocab_size: int
    """Number of token ids; every id is smaller."""
    sampling: SamplingDefaults
    """Sampling parameters for requests that leave them out."""
    media: frozenset[str]
    """Types of content parts that the model accepts besides text."""
    think_tags: ThinkTags | None
    """Delimiters of the model's reasoning; None if it is not known to reason."""
    answer_tags: AnswerTags | None
    """Delimiters of its answers; None if it writes none."""
    special_ids: Mapping[str, int]
    """Ids of the tokens that grammars have to name by their ids, by their texts.

    Text that a grammar allows never contains one of them.
    """
    profile: Profile
    """Format in which the model is shown functions and calls them."""
    tokenizer: Any
    """Tokenizer of the transformers library; None for the scripted engine."""

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the token ids of a prompt, which end where the assistant's turn begins."""

    def mark(self, text: str) -> str:
        """Return text of the server's own with its control tokens marked as such.

        Without the mark they are text (models/chat/control_tokens.py).
        """

    def encode_media(self, prompt: Prompt) -> EncodedPrompt:
        """Encode a prompt, with the images that its image tokens stand for."""

    def encode_result(self, result: str, effort: str | None) -> list[int]:
        """Return the tokens after a tool call: its result and the start of the assistant's turn.

        The tags in the result are marked.
        """

    def opener_ids(self, call_format: CallFormat) -> list[int]:
        """Return the token ids that a tool call begins with."""

    def special_id(self, text: str) -> int | None:
        """Return the id of the special token whose text is `text`; None if there is none."""

    def check_part(self, part: dict[str, Any], param: str) -> None:
        """Raise `InvalidRequestError` for a content part that cannot be put into a prompt."""

    def token_texts(self) -> list[bytes]:
        """Return the bytes of every token, indexed by token id; takes about a second."""
