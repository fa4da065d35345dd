"""/v1/models: the served models."""

import time

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from api.access.current import current_caller
from api.services import Services, services
from models.schemas.pages import Capabilities, Model, ModelList

blueprint = APIBlueprint("models", __name__, url_prefix="/v1/models", abp_tags=[Tag(name="Models")])

_STARTED_AT = int(time.time())


class ModelPath(BaseModel):
    """Path parameters of a model; ids from Hugging Face contain a slash."""

    model: str


@blueprint.get("", responses={200: ModelList})
def list_models() -> Response:
    """List the served models that the project may use, then their other names."""
    app_services = services()
    names = app_services.model_names(current_caller().project)
    models = [_describe(app_services, name) for name in names]
    return Response(ModelList(data=models).model_dump_json(), mimetype="application/json")


@blueprint.get("/<path:model>", responses={200: Model})
def retrieve_model(path: ModelPath) -> Response:
    """Read one served model, by its id or another name."""
    model = _describe(services(), path.model)
    return Response(model.model_dump_json(), mimetype="application/json")


def _describe(app_services: Services, name: str) -> Model:
    of_model = app_services.for_model(name, current_caller().project)
    encoder = of_model.encoder
    aliases = app_services.aliases.items()
    return Model(
        id=name,
        created=_STARTED_AT,
        root=encoder.model_id,
        aliases=[alias for alias, model_id in aliases if model_id == encoder.model_id],
        context_length=of_model.context_length,
        capabilities=Capabilities(
            images="input_image" in of_model.media, reasoning=encoder.think_tags is not None
        ),
    )
