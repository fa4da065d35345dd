"""/v1/queue: what the caller's project has waiting and running."""

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from api.services import project_id, services
from models.schemas.pages import ModelQueueResource, QueueList
from models.store.listing import ModelQueue

blueprint = APIBlueprint("queue", __name__, url_prefix="/v1/queue", abp_tags=[Tag(name="Queue")])


@blueprint.get("", responses={200: QueueList})
def list_queues() -> Response:
    """List the queues of the project, one for each model with unfinished responses."""
    found = services().store.lists.queues(project_id())
    answer = QueueList(data=[_to_resource(queue) for queue in found])
    return Response(answer.model_dump_json(), mimetype="application/json")


def _to_resource(queue: ModelQueue) -> ModelQueueResource:
    return ModelQueueResource(
        model=queue.model,
        num_queued=queue.num_queued,
        num_in_progress=queue.num_in_progress,
        oldest_queued_seconds=None if queue.oldest_s is None else round(queue.oldest_s, 3),
    )
