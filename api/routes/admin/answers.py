"""Answers of the admin API, and what its routes have in common."""

from flask import Response
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

PREFIX = "/admin/v1"
ADMIN = Tag(name="Admin")


def to_json(answer: BaseModel) -> Response:
    """Return the answer with a resource."""
    return Response(answer.model_dump_json(), mimetype="application/json")
