"""Formats of strings: those that llguidance enforces loosely are replaced by patterns."""

from models.grammars.json_schema.errors import Findings
from models.grammars.json_schema.nodes import Node

_YEAR = r"(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])"
_LEAP_YEAR = r"(?:\d{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DATE = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    rf"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_LABEL = r"[a-zA-Z0-9]{1,20}(?:-[a-zA-Z0-9]{1,20}){0,2}"
_LOCAL = r"[a-zA-Z0-9_]{1,20}(?:[.+-][a-zA-Z0-9_]{1,20}){0,2}"
_PATTERNS = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "hostname": rf"^{_LABEL}(?:\.{_LABEL}){{0,2}}$",
    "email": rf"^{_LOCAL}@(?:{_LABEL}\.){{1,2}}[a-zA-Z]{{2,20}}$",
}
"""Patterns of values that are valid to every validator: no leap seconds, no quoted mailboxes."""
_SERVED = frozenset({"duration", "ipv4", "ipv6", "uri", "uuid"})


def replace_format(node: Node, path: str, findings: Findings) -> Node:
    """Return the node with a pattern in the place of its format; refuse unknown formats."""
    name = node.get("format")
    if not isinstance(name, str) or name in _SERVED:
        return node
    others = {key: value for key, value in node.items() if key != "format"}
    if name not in _PATTERNS:
        findings.add(f"{path}.format", f"Unknown format: {name}")
        return others
    pattern = _PATTERNS[name].replace(r"\d", "[0-9]")
    if "pattern" not in others:
        return {**others, "pattern": pattern}
    parts = others.get("allOf")
    return {**others, "allOf": [*(parts if isinstance(parts, list) else []), {"pattern": pattern}]}
