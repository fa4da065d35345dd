"""From a valid body to a queued response: everything that can be checked is checked here.

A request that passes is stored in one transaction and only then hinted to the workers; one that
does not pass leaves nothing behind.
"""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from api.services import Services
from api.validation.context import Context, stored_context
from api.validation.encrypted_content import check_encrypted_content
from api.validation.item_references import resolve_references
from api.validation.media import check_media
from api.validation.tools import check_calls, check_pairs, check_tools
from models.chat.render import encode_prompt
from models.encryption.items import decrypt_items
from models.errors import (
    ContextLengthExceededError,
    ConversationLockedError,
    InvalidRequestError,
    UnavailableError,
)
from models.grammars.compile import grammar_of
from models.ids import input_item_id, new_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.schemas.request.create_response import CreateResponse
from models.schemas.request.parameters import GenerationParameters
from models.store.idempotency_keys import RequestKey
from models.streams.unstored import UnstoredContent

_PRIORITIES = {"flex": -1, "priority": 1}
"""Of the service tiers that are not like all others; higher is claimed first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a request comes to: its context, its own items and the parameters in force."""

    context: Context
    items: list[dict[str, Any]]
    parameters: GenerationParameters


def create_response(
    at: Services,
    project_id: str,
    body: CreateResponse,
    remembered: Context | None = None,
    key: RequestKey | None = None,
) -> ResponseRecord:
    """Check, store and hint a request; raises an `AppError` for what cannot be served.

    `remembered` is a context that is stored nowhere; without it, the request says what it is.
    Raises `KeyTakenError` if another request has taken the key meanwhile.
    """
    if body.background and not body.store:
        raise InvalidRequestError("background needs store to be true.", param="background")
    if body.stream_options is not None and not body.stream:
        raise InvalidRequestError("stream_options needs stream to be true.", param="stream_options")
    at = at.for_model(body.model)
    prepared = prepare(at, project_id, body, remembered)
    context, items, parameters = prepared.context, prepared.items, prepared.parameters
    _check_length(at, num_input_tokens(at, project_id, prepared))
    if grammar := grammar_of(parameters, param=body.grammar_param):
        at.check_grammar(grammar, param=body.grammar_param)
    check_calls(at, parameters)
    response_id = new_id()
    for position, item in enumerate(items):
        item["id"] = item.get("id") or input_item_id(item["type"], response_id, position)
    new = ResponseRecord(
        id=response_id,
        project_id=project_id,
        model=at.encoder.model_id,
        status=ResponseStatus.QUEUED,
        background=body.background,
        store=body.store,
        attempt=0,
        priority=_PRIORITIES.get(parameters.service_tier or "", 0),
        # Whole seconds, as clients see it: streams made from the row are the same each time.
        created_at=datetime.now(UTC).replace(microsecond=0),
        parameters=parameters.model_dump(exclude_none=True, by_alias=True),
        metadata=body.metadata,
        previous_response_id=context.previous_id,
        conversation_id=context.conversation_id,
    )
    _store(at, new, context.items + items if context.is_remembered else items, key)
    at.wake_queue.wake(new.model)
    return new


def prepare(
    at: Services, project_id: str, body: CreateResponse, remembered: Context | None = None
) -> Prepared:
    """Find all that the request speaks of, and check it; nothing is written."""
    at = at.for_model(body.model)
    check_tools(at, body)
    context = remembered or stored_context(at, project_id, body)
    parameters = at.encoder.sampling.fill(body.parameters())
    _check_bias(at, parameters)
    items = resolve_references(at, project_id, body.input_items())
    _check_ids(items, context)
    check_media(items, at.encoder)
    check_encrypted_content(at, project_id, items)
    check_pairs(items, context.items)
    return Prepared(context=context, items=items, parameters=parameters)


def num_input_tokens(at: Services, project_id: str, prepared: Prepared) -> int:
    """The length of the prompt, counted as the worker will."""
    items = decrypt_items(at.cipher, project_id, prepared.context.items + prepared.items)
    return len(encode_prompt(at.encoder, prepared.parameters, items))


def _store(
    at: Services, new: ResponseRecord, items: list[dict[str, Any]], key: RequestKey | None
) -> None:
    if new.store:
        if not _create(at, new, items, key):
            raise ConversationLockedError
        return
    content = UnstoredContent(parameters=new.parameters, metadata=new.metadata, items=items)
    with ExitStack() as undo:
        undo.callback(at.unstored.forget, new.id)
        at.unstored.put(new.id, content)
        _create(at, replace(new, parameters={}, metadata={}), [], key)
        undo.pop_all()


def _create(
    at: Services, new: ResponseRecord, items: list[dict[str, Any]], key: RequestKey | None
) -> bool:
    try:
        return at.store.responses.create(new, items, key)
    except UnavailableError:
        # Cut off underway: whether it was committed is for the store to say, if it is back.
        if at.store.responses.statuses([(new.project_id, new.id)]):
            return True
        return at.store.responses.create(new, items, key)


def _check_ids(items: list[dict[str, Any]], context: Context) -> None:
    """Pages of items go on after an id, so it must be the id of one; so in a conversation."""
    seen: set[str] = set()
    if context.conversation_id is not None:
        seen = {item["id"] for item in context.items}
    for position, item in enumerate(items):
        item_id = item.get("id")
        if item_id in seen:
            message = f"Two input items have the id '{item_id}'."
            raise InvalidRequestError(message, param=f"input[{position}].id")
        if item_id is not None:
            seen.add(item_id)


def _check_bias(at: Services, parameters: GenerationParameters) -> None:
    for token_id in parameters.logit_bias or ():
        if int(token_id) >= at.encoder.vocab_size:
            message = f"{at.encoder.model_id} has no token {token_id}."
            raise InvalidRequestError(message, param=f"logit_bias.{token_id}")


def _check_length(at: Services, num_tokens: int) -> None:
    """One token of room must be left."""
    if num_tokens >= at.encoder.context_length:
        raise ContextLengthExceededError(
            f"The input is {num_tokens} tokens; the context of {at.encoder.model_id} is "
            f"{at.encoder.context_length}, and one must be left for the output.",
            param="input",
        )
