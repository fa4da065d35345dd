"""Names of fields in errors: those of the input as it was given, not of the items made from it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from models.errors import AppError
from models.schemas.items import InputItem
from models.schemas.request.stored_items import Origin, origins_of

_ITEM = re.compile(r"\w+\[(?P<number>\d+)\](\.(?P<field>\w+))?")


@contextmanager
def given_names(items: Sequence[InputItem] | str | None, *, field: str = "input") -> Iterator[None]:
    """Rename the fields of errors about stored items to those of `items`, from which they came."""
    try:
        yield
    except AppError as error:
        if error.param is not None and not isinstance(items, str | None):
            given = _rename(error.param, field, origins_of(items))
            error.message = error.message.replace(error.param, given)
            error.param = given
        raise


def _rename(param: str, field: str, origins: Sequence[Origin]) -> str:
    found = _ITEM.match(param)
    if found is None or not param.startswith(f"{field}[") or int(found["number"]) >= len(origins):
        return param
    origin = origins[int(found["number"])]
    name = found["field"]
    path = field + origin.path + (f".{origin.names.get(name, name)}" if name else "")
    return path + param[found.end() :]
