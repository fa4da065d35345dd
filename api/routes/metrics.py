"""/metrics: the metrics of all processes on all hosts, for Prometheus."""

from flask import Blueprint, Response, request

from api.services import services

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return all metrics, in the format of Prometheus or, where it is preferred, OpenMetrics."""
    text, content_type = services().metrics.render(request.headers.get("accept", ""))
    return Response(text, content_type=content_type)
