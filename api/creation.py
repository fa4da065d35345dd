"""From a valid body to a queued response: everything that can be checked is checked here.

A request that passes is stored in one transaction and only then hinted to the workers; one that
does not pass leaves nothing behind.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.media import check_media
from api.services import Services
from models.chat import Prompt
from models.errors import (
    ContextLengthExceededError,
    InvalidRequestError,
    ModelNotFoundError,
    PreviousResponseNotFoundError,
)
from models.grammar import grammar_of
from models.ids import input_item_id, new_id, parse_response_id
from models.live.unstored import UnstoredContent
from models.status import ResponseStatus
from models.stored import StoredResponse
from models.wire.parameters import GenerationParameters
from models.wire.request import CreateResponse

MODEL_ALIAS = "default"

_CONTINUABLE = frozenset({ResponseStatus.COMPLETED, ResponseStatus.INCOMPLETE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What comes before the input."""

    previous_id: UUID | None = None
    items: list[dict[str, Any]] = field(default_factory=list)


def create_response(
    at: Services, project_id: str, body: CreateResponse, remembered: Context | None = None
) -> StoredResponse:
    """Check, store and hint a request; raises an `AppError` for what cannot be served.

    `remembered` is a context that is stored nowhere; without it, the request says what it is.
    """
    if body.background and not body.store:
        raise InvalidRequestError("background needs store to be true.", param="background")
    _check_model(at, body.model)
    context = remembered or _stored_context(at, project_id, body)
    parameters = _in_force(at, body)
    _check_bias(at, parameters)
    items = body.input_items()
    _check_ids(items)
    check_media(items, at.encoder.model_id)
    _check_length(at, parameters, context.items + items)
    if grammar := grammar_of(parameters, param=body.grammar_param):
        at.check_grammar(grammar, param=body.grammar_param)
    response_id = new_id()
    for position, item in enumerate(items):
        item["id"] = item.get("id") or input_item_id(item["type"], response_id, position)
    new = StoredResponse(
        id=response_id,
        project_id=project_id,
        model=at.encoder.model_id,
        status=ResponseStatus.QUEUED,
        background=body.background,
        store=body.store,
        attempt=0,
        # Whole seconds, as clients see it: streams made from the row are the same each time.
        created_at=datetime.now(UTC).replace(microsecond=0),
        parameters=parameters.model_dump(exclude_none=True, by_alias=True),
        metadata=body.metadata,
        previous_response_id=context.previous_id,
    )
    _store(at, new, items if remembered is None else remembered.items + items)
    at.hints.hint(new.model)
    return new


def _store(at: Services, new: StoredResponse, items: list[dict[str, Any]]) -> None:
    if new.store:
        at.store.responses.create(new, items)
        return
    content = UnstoredContent(parameters=new.parameters, metadata=new.metadata, items=items)
    with ExitStack() as undo:
        undo.callback(at.unstored.forget, new.id)
        at.unstored.put(new.id, content)
        at.store.responses.create(replace(new, parameters={}, metadata={}), [])
        undo.pop_all()


def _check_model(at: Services, model: str | None) -> None:
    served = at.encoder.model_id
    if model not in (None, MODEL_ALIAS, served):
        message = f"The model '{model}' is not served here; '{served}' is."
        raise ModelNotFoundError(message, param="model")


def _stored_context(at: Services, project_id: str, body: CreateResponse) -> Context:
    """The turns that the request goes on from, if any."""
    wire_id = body.previous_response_id
    if wire_id is None:
        return Context()
    param = "previous_response_id"
    previous_id = parse_response_id(wire_id)
    previous = at.store.responses.get(project_id, previous_id) if previous_id else None
    if previous is None:
        message = f"Previous response with id '{wire_id}' not found."
        raise PreviousResponseNotFoundError(message, param=param)
    if previous.status not in _CONTINUABLE:
        message = f"Response '{wire_id}' is {previous.status}; only a finished one can go on."
        raise InvalidRequestError(message, param=param)
    return Context(
        previous_id=previous.id, items=at.store.responses.chain_items(project_id, previous.id)
    )


def _check_ids(items: list[dict[str, Any]]) -> None:
    """Pages of items go on after an id, so it must be the id of one."""
    seen: set[str] = set()
    for position, item in enumerate(items):
        item_id = item.get("id")
        if item_id in seen:
            message = f"Two input items have the id '{item_id}'."
            raise InvalidRequestError(message, param=f"input[{position}].id")
        if item_id is not None:
            seen.add(item_id)


def _in_force(at: Services, body: CreateResponse) -> GenerationParameters:
    """The parameters with the model's defaults where the client gave none."""
    given = body.parameters()
    update: dict[str, object] = {}
    if given.temperature is None:
        update["temperature"] = at.encoder.default_temperature
    if given.top_p is None:
        update["top_p"] = at.encoder.default_top_p
    return given.model_copy(update=update)


def _check_bias(at: Services, parameters: GenerationParameters) -> None:
    for token_id in parameters.logit_bias or ():
        if int(token_id) >= at.encoder.vocab_size:
            message = f"{at.encoder.model_id} has no token {token_id}."
            raise InvalidRequestError(message, param=f"logit_bias.{token_id}")


def _check_length(
    at: Services, parameters: GenerationParameters, items: list[dict[str, Any]]
) -> None:
    """Count the prompt as the worker will; one token of room must be left."""
    num_tokens = len(at.encoder.encode(Prompt(instructions=parameters.instructions, items=items)))
    if num_tokens >= at.encoder.context_length:
        raise ContextLengthExceededError(
            f"The input is {num_tokens} tokens; the context of {at.encoder.model_id} is "
            f"{at.encoder.context_length}, and one must be left for the output.",
            param="input",
        )
