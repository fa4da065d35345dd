"""/v1/models: the served models."""

import time

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.services import services
from models.errors import ModelNotFoundError
from models.schemas.pages import Model, ModelList

blueprint = APIBlueprint("models", __name__, url_prefix="/v1/models", abp_tags=[Tag(name="Models")])

_STARTED_AT = int(time.time())


class ModelPath(BaseModel):
    """Path parameters of a model; ids from Hugging Face contain a slash."""

    model: str


@blueprint.get("", responses={200: ModelList})
def list_models() -> Response:
    """List the served models."""
    models = [Model(id=model_id, created=_STARTED_AT) for model_id in services().by_model]
    return Response(ModelList(data=models).model_dump_json(), mimetype="application/json")


@blueprint.get("/<path:model>", responses={200: Model})
def retrieve_model(path: ModelPath) -> Response:
    """Read one served model."""
    if path.model not in services().by_model:
        raise ModelNotFoundError(f"The model '{path.model}' is not served here.", param="model")
    model = Model(id=path.model, created=_STARTED_AT)
    return Response(model.model_dump_json(), mimetype="application/json")
