"""Demands of requests on the limits of their projects."""

from collections.abc import Sequence
from typing import Any

import orjson

from api.services import Services
from models.access.projects import ProjectRecord
from models.limits.amounts import Demand, Reservation
from models.schemas.request.parameters import GenerationParameters


def admit_response(
    services: Services,
    project: ProjectRecord,
    parameters: GenerationParameters,
    num_prompt_tokens: int,
    stored: Sequence[dict[str, Any]],
) -> Reservation | None:
    """Count a response, of which `stored` items are stored; raise a 429 if there is no room."""
    if not services.limiter.is_counted(project):
        return None
    limit = 0 if parameters.is_warm_up else parameters.output_limit
    num_choices = parameters.num_choices
    room = services.context_length - num_prompt_tokens
    demand = Demand(
        input_tokens=num_prompt_tokens,
        output_tokens=0 if limit is None else min(limit, room) * num_choices,
        num_open_choices=num_choices if limit is None else 0,
        num_choices=num_choices,
        stored_bytes=_size(project, stored),
    )
    return services.limiter.admit(project, demand)


def admit_items(
    services: Services, project: ProjectRecord, items: Sequence[dict[str, Any]]
) -> None:
    """Count a request that stores items; raise a 429 if there is no room."""
    services.limiter.admit(project, Demand(stored_bytes=_size(project, items)))


def _size(project: ProjectRecord, items: Sequence[dict[str, Any]]) -> int:
    """Return the size of what is to be stored; 0 if nobody asks for it."""
    if project.limits.max_stored_bytes is None:
        return 0
    return len(orjson.dumps(list(items)))
