"""The body of POST /v1/chat/completions: a request for a response, in other words."""

from typing import Annotated

from pydantic import Field

from models.schemas.chat.messages import Message
from models.schemas.chat.tools import ChatTool, ChatToolChoice
from models.schemas.chat.unserved import REQUEST
from models.schemas.request.create_response import MAX_ITEMS, Metadata
from models.schemas.request.formats import ResponseFormat, Verbosity
from models.schemas.request.hints import AnsweredCacheOptions
from models.schemas.request.options import Effort
from models.schemas.request.parameters import SharedParameters, TokenLimit
from models.schemas.request.tools import MAX_TOOLS
from models.schemas.strict import FailFastList
from models.schemas.tools.web_search import WebSearchOptions


class ChatCompletionRequest(SharedParameters):
    """The body of a request to complete a chat."""

    unserved = REQUEST

    model: str | None = None
    messages: Annotated[FailFastList[Message], Field(min_length=1, max_length=MAX_ITEMS)]
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    tools: list[ChatTool] = Field(default_factory=list, max_length=MAX_TOOLS)
    tool_choice: ChatToolChoice | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    verbosity: Verbosity | None = None
    web_search_options: WebSearchOptions | None = None
    prompt_cache_options: AnsweredCacheOptions | None = None
    store: bool = False
    stream: bool = False
    metadata: Metadata = Field(default_factory=dict)
