"""Order of the passes over a schema."""

from models.grammars.json_schema.errors import Findings, UnenforceableError
from models.grammars.json_schema.formats import replace_format
from models.grammars.json_schema.merge import merge_parts
from models.grammars.json_schema.nodes import Node, map_nodes
from models.grammars.json_schema.numbers import check_numbers
from models.grammars.json_schema.openness import close_object
from models.grammars.json_schema.patterns import rewrite_patterns
from models.grammars.json_schema.property_names import name_properties

LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""White space of generated JSON: small models would go on with it without end if they could."""

_OPTIONS = "x-guidance"
"""llguidance's own keyword for options."""


def prepare_schema(schema: Node) -> Node:
    """Return the schema that llguidance is given for a client's schema.

    Raises `UnenforceableError` for what it would not enforce exactly.
    """
    if _OPTIONS in schema:
        raise UnenforceableError(f"{_OPTIONS} is not supported")
    findings = Findings()

    def combine(node: Node, path: str) -> Node:
        return close_object(merge_parts(name_properties(node), schema, path, findings))

    def enforce(node: Node, path: str) -> Node:
        for rewrite in (check_numbers, rewrite_patterns, replace_format):
            node = rewrite(node, path, findings)
        return node

    return {**map_nodes(map_nodes(schema, combine), enforce), _OPTIONS: LAYOUT}
