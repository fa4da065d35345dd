"""Page of the playground, and what it asks the server for."""

from collections.abc import Callable
from typing import Any, cast

import orjson
from flask import Response, current_app, request

from api.access.current import current_caller
from api.access.sessions import PATH
from api.dashboard.blueprint import blueprint
from api.dashboard.pages import render
from api.dashboard.playground.form import make_form
from api.dashboard.responses.lookup import find, input_items
from api.dashboard.responses.requests import parse_request, request_of
from api.services import project_id, services
from api.streaming.temporary import find_response, load_items
from api.validation.create_request import num_input_tokens, prepare
from models.grammars.compile import grammar_of
from models.schemas.request.create_response import MAX_ITEMS

_API_VIEW = "responses.create"


@blueprint.get(f"{PATH}/playground")
def show_playground() -> str:
    """Show the form, with the request of the stored response that `from` names."""
    wire_id = request.args.get("from", "")
    body: dict[str, Any] = {}
    if wire_id:
        record = find(find_response, wire_id)
        items, _ = input_items(record, load_items, MAX_ITEMS)
        body = request_of(record, items)
    initial = orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
    models = services().model_names(current_caller().project)
    return render(
        "playground.html", groups=make_form(), models=models, initial=initial, source=wire_id
    )


@blueprint.post(f"{PATH}/playground/responses")
def run_request() -> Response:
    """Create a response as the API does, by its own view."""
    view = cast(Callable[[], Response], current_app.view_functions[_API_VIEW])
    return view()


@blueprint.post(f"{PATH}/playground/check")
def check_request() -> Response:
    """Say if a request would be accepted, without running it: its length, or what is wrong."""
    caller = current_caller()
    body = parse_request(request.get_json())
    model = services().for_model(body.model, caller.project)
    prepared = prepare(model, caller, body)
    if grammar := grammar_of(prepared.parameters, param=body.grammar_param):
        model.check_grammar(grammar, param=body.grammar_param)
    num_tokens = num_input_tokens(model, project_id(), prepared)
    return Response(orjson.dumps({"input_tokens": num_tokens}), mimetype="application/json")
