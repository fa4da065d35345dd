"""`context_management`: a conversation that is to be compacted while it is answered."""

from models.errors import InvalidRequestError
from models.schemas.request.create_response import CreateResponse


def check_compaction(body: CreateResponse, num_tokens: int) -> None:
    """Raise a 400 if the input is so long that it would have to be compacted before the answer.

    As long as it is not, there is nothing to do.
    """
    for position, entry in enumerate(body.context_management):
        threshold = entry.compact_threshold
        if threshold is not None and num_tokens > threshold:
            raise InvalidRequestError(
                f"The input is {num_tokens} tokens, more than the compact_threshold of "
                f"{threshold}, and this server does not compact while it answers. "
                "POST /v1/responses/compact compacts a conversation; truncation 'auto' leaves out "
                "its oldest turns.",
                param=f"context_management[{position}].compact_threshold",
                code="unsupported_parameter",
            )
