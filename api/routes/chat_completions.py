"""POST /v1/chat/completions: OpenAI's Chat Completions API, answered by responses."""

from functools import partial

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.access.current import current_caller
from api.chat.chunks import ChunkEncoder
from api.chat.request import convert_request
from api.chat.response import complete_chat
from api.event_loop.loop_body import CleanUp
from api.services import Services, project_id, services
from api.streaming.cancel import clean_up
from api.streaming.foreground import wait_foreground
from api.streaming.sse import respond_with_events
from api.streaming.tail import Tail
from api.streaming.temporary import find_response
from api.validation.create_request import create_response
from api.validation.idempotency import create_once
from models.errors import AppError
from models.responses.record import ResponseRecord
from models.schemas.chat.completion import ChatCompletion
from models.schemas.chat.request import ChatCompletionRequest
from models.schemas.request.options import StreamOptions

blueprint = APIBlueprint(
    "chat_completions", __name__, url_prefix="/v1/chat", abp_tags=[Tag(name="Chat completions")]
)


@blueprint.post("/completions", responses={200: ChatCompletion})
def create(body: ChatCompletionRequest) -> Response:
    """Complete a chat, whole or as a stream of chunks; it is stored only with `store: true`."""
    converted = convert_request(body)
    app_services = services()
    try:
        record, is_new = create_once(
            app_services,
            project_id(),
            lambda key: create_response(app_services, current_caller(), converted.body, key=key),
            find_response,
        )
    except AppError as error:
        raise converted.names.translate(error) from error
    # Only the connection of the first request with a key cancels the response when it is closed.
    end = partial(clean_up, app_services, record) if is_new else None
    if body.stream:
        return _stream(app_services, record, body.stream_options or StreamOptions(), end)
    return wait_foreground(app_services, record, end, partial(complete_chat, record))


def _stream(
    app_services: Services, record: ResponseRecord, options: StreamOptions, end: CleanUp | None
) -> Response:
    encoder = ChunkEncoder(
        record,
        includes_usage=bool(options.include_usage),
        is_padded=options.include_obfuscation is not False,
    )
    tail = Tail(app_services, record, naming="specification")
    return respond_with_events(tail, encoder, end)
