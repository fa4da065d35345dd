"""Page about API keys; operators create, rotate and revoke them."""

from typing import Any

from flask import redirect, request, url_for
from werkzeug.wrappers import Response

from api.dashboard.blueprint import blueprint
from api.dashboard.operations.answers import ADMIN_PATH, number, parse, read
from api.dashboard.pages import render
from api.routes.admin import keys, projects
from models.access.scopes import ALL_SCOPES, DEFAULT_SCOPES, Scope
from models.schemas.admin.keys import CreateKey, RotateKey

_ONE = f"{ADMIN_PATH}/keys/<string:key_id>"


@blueprint.get(f"{ADMIN_PATH}/keys")
def show_keys() -> str:
    """Show all keys, newest first."""
    return _show(None)


@blueprint.post(f"{ADMIN_PATH}/keys")
def create_key() -> str:
    """Create a key, and show it this once."""
    form = request.form
    fields = {
        "project_id": form.get("project_id", "").strip(),
        "name": form.get("name", "").strip(),
        "scopes": form.getlist("scopes"),
        "expires_in_days": number(form.get("expires_in_days", "").strip()),
    }
    return _show(read(keys.create(parse(CreateKey, fields))))


@blueprint.post(f"{_ONE}/rotate")
def rotate_key(key_id: str) -> str:
    """Create a key with the rights of another, which ends after a day, and show it this once."""
    return _show(read(keys.rotate(keys.KeyPath(key_id=key_id), RotateKey())))


@blueprint.post(f"{_ONE}/revoke")
def revoke_key(key_id: str) -> Response:
    """Revoke a key."""
    keys.revoke(keys.KeyPath(key_id=key_id))
    return redirect(url_for("dashboard.show_keys"), code=303)


def _show(made: dict[str, Any] | None) -> str:
    listed = read(keys.list_keys(keys.KeysQuery()))["data"]
    return render(
        "keys.html",
        keys=listed,
        projects=[project["id"] for project in read(projects.list_projects())["data"]],
        all_scopes=list(Scope),
        # The first key is an operator's: without it, nobody could create another one.
        chosen_scopes=DEFAULT_SCOPES if listed else ALL_SCOPES,
        made=made,
    )
