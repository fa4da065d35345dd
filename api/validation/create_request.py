"""Validation of a parsed request and creation of the queued response.

A request that passes is stored in one transaction, and only then is a worker woken; one that does
not pass leaves nothing behind.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from api.access.rights import check_rights
from api.limits.admission import admit_response
from api.services import Services
from api.validation.calls import check_call_outputs
from api.validation.compaction import num_prompt_tokens
from api.validation.context import Context, load_context
from api.validation.encrypted_content import check_encrypted_content
from api.validation.given_names import given_names
from api.validation.item_references import resolve_references
from api.validation.mcp import check_approvals, check_mcp_servers, tool_secrets
from api.validation.media import check_media
from api.validation.tools import check_calls, check_tools, without_search
from models.access.caller import Caller
from models.chat.render import encode_prompt
from models.encryption.items import decrypt_items
from models.encryption.response import ResponseCipher, new_content_key
from models.errors import (
    ContextLengthExceededError,
    ConversationLockedError,
    DatabaseBusyError,
    InvalidRequestError,
    UnavailableError,
)
from models.grammars.compile import grammar_of
from models.ids import input_item_id, new_id
from models.outages import DuplicateKeyError
from models.responses.end_user import end_user_of
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.schemas.request.create_response import CreateResponse
from models.schemas.request.parameters import GenerationParameters
from models.store.idempotency_keys import RequestKey
from models.streams.unstored import QUEUED_TTL_S, UNSTORED_TTL_S, UnstoredContent
from models.tools.added_tools import with_added_tools
from models.tracing.spans import current_span

_PRIORITIES = {"flex": -2, "priority": 2}
"""Priority by service tier, 0 for all others; responses of higher priority are claimed first."""
_AWAITED = 1
"""Added to it for a response in the foreground: a client waits for that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRequest:
    """Validated request: its context, its own items and the parameters in force."""

    context: Context
    items: list[dict[str, Any]]
    parameters: GenerationParameters


def create_response(
    services: Services,
    caller: Caller,
    body: CreateResponse,
    inline_context: Context | None = None,
    key: RequestKey | None = None,
) -> ResponseRecord:
    """Check and store a request, then wake a worker; raise an `AppError` if it cannot be served.

    `inline_context` is a context that is not in the store; without it, the request names its own.
    Raise `KeyTakenError` if another request has taken the idempotency key meanwhile.
    """
    if body.asks_for_stream_options and not body.stream:
        raise InvalidRequestError("stream_options needs stream to be true.", param="stream_options")
    project_id, project = caller.project_id, caller.project
    services = services.for_model(body.model, project)
    services.limiter.check(project)
    services.queue_limiter.check(
        project_id, background=body.background, max_of_project=project.limits.max_queued
    )
    prepared = prepare(services, caller, body, inline_context)
    context, items, parameters = prepared.context, prepared.items, prepared.parameters
    readable = decrypt_items(services.cipher, project_id, context.items + items)
    num_tokens = num_prompt_tokens(services, parameters, readable)
    _check_length(services, num_tokens)
    if grammar := grammar_of(parameters, param=body.grammar_param):
        services.check_grammar(grammar, param=body.grammar_param)
    check_calls(services, parameters)
    record = _new_record(services, caller, body, prepared)
    with ExitStack() as undo:
        stored = items if body.store else ()
        reservation = admit_response(services, project, parameters, num_tokens, stored)
        undo.callback(services.limiter.cancel, project, reservation)
        _store(services, replace(record, reservation=reservation), context, items, key)
        undo.pop_all()
    services.queue_limiter.add(project_id, background=body.background)
    if record.not_before is None:
        services.wake_queue.wake(record.model)
    return record


def _new_record(
    services: Services, caller: Caller, body: CreateResponse, prepared: PreparedRequest
) -> ResponseRecord:
    """Return the row of a checked request, which is not stored yet; items without an id get one."""
    response_id, parameters = new_id(), prepared.parameters
    for position, item in enumerate(prepared.items):
        item["id"] = item.get("id") or input_item_id(item["type"], response_id, position)
    tier = _PRIORITIES.get(parameters.service_tier or "", 0)
    return ResponseRecord(
        id=response_id,
        project_id=caller.project_id,
        model=services.encoder.model_id,
        status=ResponseStatus.QUEUED,
        background=body.background,
        store=body.store,
        attempt=0,
        priority=tier + (0 if body.background else _AWAITED),
        end_user=end_user_of(caller.project_id, parameters, services.store.database.vault),
        # Whole seconds, as clients see it: events derived from the row are the same each time.
        created_at=datetime.now(UTC).replace(microsecond=0),
        not_before=_not_before(body),
        parameters=parameters.model_dump(exclude_none=True, by_alias=True),
        metadata=body.metadata,
        previous_response_id=prepared.context.previous_id,
        conversation_id=prepared.context.conversation_id,
        content_key=services.store.responses.new_content_key(caller.project_id, response_id)
        if body.store
        else new_content_key(),
        tool_secrets=tool_secrets(body),
        traceparent=current_span().traceparent,
    )


def _not_before(body: CreateResponse) -> datetime | None:
    """Return the time before which a response is not started; None if it may be at once."""
    if body.not_before is None or body.not_before <= time.time():
        return None
    return datetime.fromtimestamp(body.not_before, UTC)


def prepare(
    services: Services, caller: Caller, body: CreateResponse, inline_context: Context | None = None
) -> PreparedRequest:
    """Resolve and check everything that a request refers to, without writing anything."""
    with given_names(body.input):
        services = services.for_model(body.model, caller.project)
        return _prepare(services, caller, body, inline_context)


def _prepare(
    services: Services, caller: Caller, body: CreateResponse, inline_context: Context | None
) -> PreparedRequest:
    project_id, permissions = caller.project_id, caller.project.permissions
    items = body.input_items()
    check_rights(caller, body, items)
    check_tools(services, permissions, body)
    check_mcp_servers(services, permissions, body)
    context = inline_context or load_context(services, project_id, body)
    parameters = without_search(services, permissions, body, body.parameters())
    parameters = services.encoder.sampling.fill(parameters)
    _check_bias(services, parameters)
    items = resolve_references(services, project_id, items)
    _check_ids(items, context)
    check_encrypted_content(services, project_id, items)
    check_call_outputs(items, context.items)
    if not (items or context.items or parameters.is_warm_up):
        raise _nothing_to_answer()
    check_approvals(items, context.items, body)
    fetch_images = partial(
        services.image_urls.fetch, owner=project_id, is_permitted=permissions.image_urls
    )
    check_media(items, services.encoder, services.media, fetch_images)
    parameters = with_added_tools(parameters, [*context.items, *items])
    return PreparedRequest(context=context, items=items, parameters=parameters)


def num_input_tokens(services: Services, project_id: str, prepared: PreparedRequest) -> int:
    """Return the length of the prompt in tokens, counted as the worker will count it."""
    items = decrypt_items(services.cipher, project_id, prepared.context.items + prepared.items)
    return len(encode_prompt(services.encoder, prepared.parameters, items))


def _store(
    services: Services,
    record: ResponseRecord,
    context: Context,
    items: list[dict[str, Any]],
    key: RequestKey | None,
) -> None:
    if record.store:
        if not _create(services, record, items, key):
            raise ConversationLockedError
        return
    content = UnstoredContent(
        parameters=record.parameters,
        metadata=record.metadata,
        items=context.items + items if context.is_inline else items,
        tool_secrets=record.tool_secrets,
        has_context=context.is_inline,
    )
    with ExitStack() as undo:
        undo.callback(services.unstored.forget, record.id)
        ttl_s = QUEUED_TTL_S if record.is_temporary else UNSTORED_TTL_S
        services.unstored.put(ResponseCipher.of(record), content, ttl_s=ttl_s)
        _create(services, replace(record, parameters={}, metadata={}, tool_secrets={}), [], key)
        undo.pop_all()


def _create(
    services: Services, record: ResponseRecord, items: list[dict[str, Any]], key: RequestKey | None
) -> bool:
    try:
        return services.store.responses.create(record, items, key)
    except DatabaseBusyError:
        # It has had no effect, and would wait as long again.
        raise
    except UnavailableError:
        # The connection was lost: ask the store, if it is back, whether the row was committed.
        if services.store.responses.statuses([(record.project_id, record.id)]):
            return True
    try:
        # Alone: this may have to wait for what is left of the first try.
        return services.store.responses.create(record, items, key, alone=True)
    except DuplicateKeyError:
        return True  # the first try was committed after all


def _check_ids(items: list[dict[str, Any]], context: Context) -> None:
    """Raise a 400 if two items have the same id, also within a conversation.

    Pages of items continue after an id, so it must belong to one item.
    """
    seen_ids: set[str] = set()
    if context.conversation_id is not None:
        seen_ids = {item["id"] for item in context.items}
    for position, item in enumerate(items):
        item_id = item.get("id")
        if item_id in seen_ids:
            message = f"Two input items have the id '{item_id}'."
            raise InvalidRequestError(message, param=f"input[{position}].id")
        if item_id is not None:
            seen_ids.add(item_id)


def _check_bias(services: Services, parameters: GenerationParameters) -> None:
    for token_id in parameters.logit_bias or ():
        if int(token_id) >= services.encoder.vocab_size:
            message = f"{services.encoder.model_id} has no token {token_id}."
            raise InvalidRequestError(message, param=f"logit_bias.{token_id}")


def _check_length(services: Services, num_tokens: int) -> None:
    """Raise a 400 unless there is a prompt and the context has room for an output token."""
    if not num_tokens:
        raise _nothing_to_answer()
    if num_tokens >= services.context_length:
        raise ContextLengthExceededError(
            f"The input is {num_tokens} tokens; the context of {services.encoder.model_id} is "
            f"{services.context_length}, and one must be left for the output.",
            param="input",
        )


def _nothing_to_answer() -> InvalidRequestError:
    message = "There is nothing to answer: neither this request nor what it continues has items."
    return InvalidRequestError(message, param="input", code="missing_required_parameter")
