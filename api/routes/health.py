"""Is the process alive, and can the server answer a request?"""

import logging

import redis
from flask import Blueprint, Response, jsonify

from api.services import project_id, services
from models.errors import UnavailableError

logger = logging.getLogger(__name__)

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
def livez() -> Response:
    """200 while the process can answer at all."""
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """200 when database, Redis and a worker with the weights of each model are there, else 503."""
    checks = {"database": False, "redis": False, "worker": False}
    at = services()
    try:
        served = at.store.workers.served_models(project_id())
        checks |= {"database": True, "worker": set(at.served) <= set(served)}
    except UnavailableError as error:
        logger.warning("not ready", extra={"error": str(error)})
    try:
        checks["redis"] = bool(at.client.ping())
    except redis.RedisError as error:
        logger.warning("not ready", extra={"error": str(error)})
    response = jsonify({"status": "ok" if all(checks.values()) else "unavailable", **checks})
    response.status_code = 200 if all(checks.values()) else 503
    return response
