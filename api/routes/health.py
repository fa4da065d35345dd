"""Liveness and readiness probes: /livez and /readyz."""

import logging

import redis
from flask import Blueprint, Response, jsonify

from api.services import services
from models.errors import UnavailableError
from models.tables import DEFAULT_PROJECT

logger = logging.getLogger(__name__)

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
def livez() -> Response:
    """Return 200 while the process can answer at all."""
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Return 200 if the server can answer requests, else 503.

    It needs the database, Redis and, for each model, a worker that has loaded its weights.
    """
    checks = {"database": False, "redis": False, "worker": False}
    app_services = services()
    try:
        available = app_services.store.workers.served_models(DEFAULT_PROJECT)
        checks |= {"database": True, "worker": set(app_services.by_model) <= set(available)}
    except UnavailableError as error:
        logger.warning("not ready", extra={"error": str(error)})
    try:
        checks["redis"] = bool(app_services.client.ping())
    except redis.RedisError as error:
        logger.warning("not ready", extra={"error": str(error)})
    response = jsonify({"status": "ok" if all(checks.values()) else "unavailable", **checks})
    response.status_code = 200 if all(checks.values()) else 503
    return response
