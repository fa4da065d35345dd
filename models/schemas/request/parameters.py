"""Parameters of generation: the part of a request that is stored with its response."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, StringConstraints, field_validator

from models.schemas.request.formats import TextConfig
from models.schemas.request.grammars import Grammar, LlguidanceGrammar
from models.schemas.request.hints import (
    AccessPrograms,
    CacheOptions,
    CacheRetention,
    ImageOptions,
)
from models.schemas.request.memo import Memo
from models.schemas.request.options import (
    ContextManagement,
    Effort,
    Include,
    ReasoningOptions,
    ServiceTier,
    StreamOptions,
)
from models.schemas.request.sampling import SamplingFields
from models.schemas.request.tools import (
    MAX_TOOLS,
    AllowedTools,
    FlatTool,
    Tool,
    ToolChoice,
    flatten_choice,
    flatten_tool,
)
from models.schemas.strict import MAX_TEXT, Label
from models.schemas.tools.function import ChatFunctionChoice

SEED_LIMIT = 2**63
LOGPROBS = "message.output_text.logprobs"
"""Value of `include` that requests log probabilities."""

StopString = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Identifier = Annotated[str, StringConstraints(max_length=128)]
TokenLimit = Annotated[int, Field(ge=1, le=2**31 - 1)]


def _is_empty(value: list[object]) -> bool:
    return not value


def _is_default(value: bool | None) -> bool:
    return value is not False


class SharedParameters(SamplingFields):
    """Parameters of generation that responses and chat completions name alike."""

    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    seed: int | None = Field(None, ge=-SEED_LIMIT, lt=SEED_LIMIT)
    stop: list[StopString] = Field(default_factory=list, max_length=64)
    grammar: Grammar | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = Field(None, ge=1, le=2**31 - 1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    n: int | None = Field(None, ge=1, le=16)
    truncation: Literal["auto", "disabled"] | None = None
    service_tier: ServiceTier | None = None
    stream_options: StreamOptions | None = None
    safety_identifier: Identifier | None = None
    prompt_cache_key: Label | None = None
    prompt_cache_retention: CacheRetention | None = None
    prompt_cache_options: CacheOptions | None = None
    user: Label | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _wrap_string(cls, value: object) -> object:
        """Accept a single string as a list of one."""
        return [value] if isinstance(value, str) else value


class GenerationParameters(SharedParameters):
    """Parameters of generation, stored with a response beside its input."""

    instructions: str | None = Field(None, max_length=MAX_TEXT)
    max_output_tokens: TokenLimit | None = None
    text: TextConfig | None = None
    tools: list[Tool] = Field(default_factory=list, max_length=MAX_TOOLS, exclude_if=_is_empty)
    tool_choice: ToolChoice | None = None
    reasoning: ReasoningOptions | None = None
    include: list[Include] = Field(default_factory=list, max_length=64, exclude_if=_is_empty)
    context_management: list[ContextManagement] = Field(
        default_factory=list, max_length=16, exclude_if=_is_empty
    )
    access_programs: AccessPrograms | None = None
    image: ImageOptions | None = None
    generate: bool | None = Field(None, exclude_if=_is_default)
    """False: compute the prompt and generate nothing (`is_warm_up`)."""
    _added_tools: tuple[FlatTool, ...] = PrivateAttr(())
    _mcp_lists: Mapping[str, list[dict[str, Any]]] = PrivateAttr(default_factory=dict)
    _call_rule: Memo = PrivateAttr(default_factory=Memo)

    @field_validator("tools", mode="after")
    @classmethod
    def _flatten_tools(cls, tools: list[Tool]) -> list[Tool]:
        """Return the tools in the flat form, in which they are stored and returned."""
        return [flatten_tool(tool) for tool in tools]

    @field_validator("tool_choice", mode="after")
    @classmethod
    def _flatten_choice(cls, choice: ToolChoice | None) -> ToolChoice | None:
        if isinstance(choice, AllowedTools):
            flat = [flatten_choice(allowed) for allowed in choice.tools]
            return choice.model_copy(update={"tools": flat})
        return flatten_choice(choice) if isinstance(choice, ChatFunctionChoice) else choice

    def add_tools(self, tools: Iterable[FlatTool]) -> None:
        """Let the model call further tools, which items of the input bring; they are not stored."""
        self._added_tools = (*self._added_tools, *tools)

    @property
    def flat_tools(self) -> list[FlatTool]:
        """The given tools in the flat form, as which they are stored."""
        return [flatten_tool(tool) for tool in self.tools]

    @property
    def added_tools(self) -> tuple[FlatTool, ...]:
        """Tools that items of the input bring, described where they are brought."""
        return self._added_tools

    def add_mcp_lists(self, lists: Mapping[str, list[dict[str, Any]]]) -> None:
        """Let the model call the tools that MCP servers have listed, by label; not stored."""
        self._mcp_lists = {**self._mcp_lists, **lists}

    @property
    def mcp_lists(self) -> Mapping[str, list[dict[str, Any]]]:
        """Tools that the MCP servers among `tools` have listed, by the label of the server."""
        return self._mcp_lists

    @property
    def call_rule_memo(self) -> Memo:
        """Memo of the rule of its tool calls (`models/tools/choice.py`)."""
        return self._call_rule

    @property
    def is_warm_up(self) -> bool:
        """True if the prompt is to be computed and kept, and nothing to be generated."""
        return self.generate is False

    @property
    def num_choices(self) -> int:
        """Number of completions."""
        return 1 if self.is_warm_up else self.n or 1

    @property
    def num_top_logprobs(self) -> int | None:
        """Number of most probable tokens to return with each sampled token.

        None if no log probabilities are requested.
        """
        is_requested = self.logprobs or self.top_logprobs or LOGPROBS in self.include
        return (self.top_logprobs or 0) if is_requested else None

    @property
    def asks_for_stream_options(self) -> bool:
        """Return True if `stream_options` has an option that is set."""
        return self.stream_options is not None and any(
            value is not None for _, value in self.stream_options
        )

    @property
    def effort(self) -> Effort | None:
        """Reasoning effort; None leaves it to the chat template."""
        return self.reasoning.effort if self.reasoning else None

    @property
    def output_limit(self) -> int | None:
        """Maximum output tokens: the smaller of `max_output_tokens` and the grammar's own limit."""
        limits = [self.max_output_tokens]
        if isinstance(self.grammar, LlguidanceGrammar):
            limits.append(self.grammar.value.max_tokens)
        return min((limit for limit in limits if limit is not None), default=None)
