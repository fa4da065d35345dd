"""What all bodies with items have in common, that of a create left out: it has rules of its own."""

from typing import Any

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from models.wire.strict import WireModel
from models.wire.unserved import unserved_item


class ItemBody(WireModel):
    """Base of bodies that give items in `input` or `items`."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unserved_items(cls, body: Any) -> Any:
        fields = body if isinstance(body, dict) else {}
        refused = unserved_item(fields, "input") or unserved_item(fields, "items")
        if refused is not None:
            raise PydanticCustomError(
                "unsupported_parameter",
                "{field} is not supported by this server",
                {"field": refused},
            )
        return body
