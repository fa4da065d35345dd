"""Text format of the calls of custom tools, in all models the same.

A call is the tool's name in a JSON object and, from the next line on, the input. An input that has
a grammar ends with the output; one that may be any text ends at the closing tag, if there is one.
"""

import orjson

from models.profile.formats.json_in_tags.hermes import HERMES

CLOSER = HERMES.closer
"""Text after an input that may be any text."""


def custom_head(name: str) -> str:
    """Return what stands between the opening tag of a call and the input."""
    return orjson.dumps({"name": name}).decode().replace(":", ": ") + "\n"
