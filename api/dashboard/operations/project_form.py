"""Form of a project: its controls, and the changes that somebody asks for with them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from api.dashboard.operations.answers import number
from models.access.projects import ProjectLimits, ProjectPermissions
from models.errors import AppError
from models.schemas.admin.projects import UpdateProject

PERMISSION = {"allowed": True, "denied": False}
"""Values of a permission, by their words in the form."""
_NUMBERS = ("weight", "retention_days")
_FIELDS = UpdateProject.model_json_schema()["properties"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Control of one field, with what it had or what somebody has entered."""

    name: str
    label: str
    value: str
    hint: str = ""
    placeholder: str = ""
    choices: tuple[str, ...] = ()
    """Words to choose from; empty for a line of text."""
    is_wrong: bool = False


def read_form(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of the admin API that a form stands for; an empty field is the server's.

    What the form does not have stays as it is.
    """
    given = {name: text.strip() for name, text in form.items()}
    changes: dict[str, Any] = {
        name: number(given[name]) if given[name] else None for name in _NUMBERS if name in given
    }
    if "name" in given:
        changes["name"] = given["name"]
    if "allowed_models" in given:
        models = [model.strip() for model in given["allowed_models"].split(",")]
        changes["allowed_models"] = list(filter(None, models)) or None
    changes["limits"] = {
        name: number(given[name]) if given[name] else None
        for name in ProjectLimits.model_fields
        if name in given
    }
    changes["permissions"] = {
        name: PERMISSION.get(given[name], given[name])
        for name in ProjectPermissions.model_fields
        if name in given
    }
    return changes


def controls(
    project: Mapping[str, Any], given: Mapping[str, str], error: AppError | None
) -> list[Control]:
    """Return the controls of a project's form; `given` was entered, and refused for `error`."""
    wrong = _control_of(error.param or "") if error else None
    return [
        Control(
            name=made.name,
            label=made.label,
            value=given.get(made.name, made.value),
            hint=made.hint,
            placeholder=made.placeholder,
            choices=made.choices,
            is_wrong=made.name == wrong,
        )
        for made in _controls(project)
    ]


def _controls(project: Mapping[str, Any]) -> Iterator[Control]:
    yield Control(name="name", label="name", value=project["name"])
    yield Control(
        name="weight",
        label="weight",
        value=_text(project["weight"]),
        hint="Share of the tokens, relative to others that have responses queued: "
        f"{_range('weight')}.",
        placeholder="1",
    )
    yield Control(
        name="retention_days",
        label="retention days",
        value=_text(project["retention_days"]),
        hint=f"Days that ended responses are kept: {_range('retention_days')}.",
        placeholder="the server's",
    )
    yield Control(
        name="allowed_models",
        label="allowed models",
        value=", ".join(project["allowed_models"] or ()),
        hint="Ids of models, with commas between them.",
        placeholder="all",
    )
    for name, field in ProjectLimits.model_fields.items():
        yield Control(
            name=name,
            label=name.replace("_", " "),
            value=_text(project["limits"][name]),
            hint=field.description or "",
            placeholder="no limit",
        )
    for name, field in ProjectPermissions.model_fields.items():
        is_allowed = project["permissions"][name]
        yield Control(
            name=name,
            label=name.replace("_", " "),
            value="allowed" if is_allowed else "denied",
            hint=field.description or "",
            choices=tuple(PERMISSION),
        )


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _range(name: str) -> str:
    """Return the values that a number may have, as its type has them."""
    schema = _FIELDS[name]["anyOf"][0]
    if "exclusiveMinimum" in schema:
        return f"more than {schema['exclusiveMinimum']:g}, {schema['maximum']:g} at most"
    return f"{schema['minimum']:g} to {schema['maximum']:g}"


def _control_of(param: str) -> str:
    """Return the name of the control of a field that an error names."""
    return param.removeprefix("limits.").removeprefix("permissions.").partition("[")[0]
