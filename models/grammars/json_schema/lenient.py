"""Schemas of functions that are not strict: what cannot be enforced is left out, the rest holds."""

from typing import Any

from models.grammars.json_schema.disjoint import are_disjoint
from models.grammars.json_schema.errors import Findings
from models.grammars.json_schema.formats import replace_format
from models.grammars.json_schema.nodes import Node, map_nodes
from models.grammars.json_schema.numbers import check_numbers
from models.grammars.json_schema.patterns import rewrite_patterns
from models.grammars.json_schema.references import resolve

UNSERVED = frozenset(
    {"not", "if", "then", "else", "uniqueItems", "contains", "minContains", "maxContains"}
    | {"dependentRequired", "dependentSchemas", "dependencies", "propertyNames", "x-guidance"}
    | {"unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$dynamicAnchor"}
    | {"$recursiveRef", "$recursiveAnchor"}
)
"""Keywords that llguidance does not implement."""


def drop_unenforceable(schema: Node) -> tuple[Node, list[str]]:
    """Return a schema without the keywords that cannot be enforced, and the paths of those."""
    findings = Findings(is_lenient=True)

    def visit(node: Node, path: str) -> Node:
        for name in node.keys() & UNSERVED:
            findings.add(f"{path}.{name}", "it is not served")
        before = len(findings.dropped)
        for rewrite in (check_numbers, rewrite_patterns, replace_format):
            rewrite(node, path, findings)
        faulty = {name.removeprefix(f"{path}.") for name in findings.dropped[before:]}
        kept = {name: value for name, value in node.items() if name not in UNSERVED | faulty}
        return _without_one_of(kept, schema, path, findings)

    return map_nodes(schema, visit), findings.dropped


def _without_one_of(node: Node, root: Node, path: str, findings: Findings) -> Node:
    """Return the node with `anyOf` for a `oneOf` that cannot be enforced."""
    branches: Any = node.get("oneOf")
    if not isinstance(branches, list) or "anyOf" in node:
        return node
    resolved = [resolve(branch, root) for branch in branches if isinstance(branch, dict)]
    known = [branch for branch in resolved if branch is not None]
    if len(known) == len(branches) and are_disjoint(known, root):
        return node
    findings.add(f"{path}.oneOf", "its branches may overlap")
    return {("anyOf" if name == "oneOf" else name): value for name, value in node.items()}
