"""Grammars of the arguments of one function, in the notation of a call format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models.grammars.calls.argument_types import (
    TEXT,
    choices_of,
    has_only,
    is_free,
    types_of,
)
from models.grammars.json_schema.prepare import LAYOUT, prepare_schema
from models.grammars.literals import Literals
from models.profile.formats.call_format import (
    OTHER_TYPE,
    ArgumentNotation,
    JsonArguments,
    LiteralArguments,
    TaggedArguments,
)

_NOTHING = '""'
_KEY = "/[a-zA-Z_][a-zA-Z0-9_]{0,63}/"
_JSON_QUOTE = '"'


@dataclass
class ArgumentRules:
    """Rules of one function's arguments: `start` is the rule, or grammar, that stands for them."""

    start: str
    lines: list[str] = field(default_factory=list)
    grammars: list[dict[str, Any]] = field(default_factory=list)


def argument_rules(
    schema: dict[str, Any], notation: ArgumentNotation, literals: Literals, name: str
) -> ArgumentRules:
    """Return the rules of arguments that satisfy a schema; `name` begins all of their names."""
    prepared = prepare_schema(schema)
    if isinstance(notation, JsonArguments):
        return ArgumentRules(f"@{name}", grammars=[{"name": name, "json_schema": prepared}])
    writer = _Writer(prepared, notation, literals, name)
    return writer.write()


class _Writer:
    """Writes the rules of one function's arguments."""

    def __init__(
        self,
        schema: dict[str, Any],
        notation: TaggedArguments | LiteralArguments,
        literals: Literals,
        name: str,
    ) -> None:
        self._schema = schema
        self._notation = notation
        self._literals = literals
        self._name = name
        self._rules = ArgumentRules(name)

    def write(self) -> ArgumentRules:
        """Return the rules."""
        properties: Mapping[str, Any] = self._schema.get("properties") or {}
        required = self._schema.get("required") or []
        is_any = "properties" not in self._schema and self._schema.get("additionalProperties", True)
        if isinstance(self._notation, TaggedArguments):
            parts = [
                self._tagged(number, name, value) + ("" if name in required else "?")
                for number, (name, value) in enumerate(properties.items())
            ]
            if is_any:
                parts = [f"({self._any_tagged(self._notation)})*"]
            self._add(self._name, " ".join(parts))
        else:
            pairs = [
                (self._literal(number, name, value, self._notation), name in required)
                for number, (name, value) in enumerate(properties.items())
            ]
            if is_any:
                pairs = [(self._any_literal(self._notation), False)]
            self._join(self._name, pairs, self._notation)
        return self._rules

    def _add(self, name: str, body: str) -> None:
        self._rules.lines.append(f"{name}: {body or _NOTHING}")

    def _join(self, rule: str, pairs: list[tuple[str, bool]], notation: LiteralArguments) -> None:
        """Add the rules of a list in which what is not required may be missing."""
        opener, closer = ("{", "}") if notation.is_object else ("", "")
        comma = '","' if notation.is_object else '", "'
        write = self._literals.write
        self._add(rule, f"{write(opener)} {rule}_first_0 {write(closer)}".strip())
        for number, (pair, is_required) in enumerate(pairs):
            first, rest = f"{rule}_first_{number + 1}", f"{rule}_rest_{number + 1}"
            more = "" if is_required else f" | {rest}"
            none = "" if is_required else f" | {first}"
            self._add(f"{rule}_first_{number}", f"{pair} {rest}{none}")
            self._add(f"{rule}_rest_{number}", f"{comma} {pair} {rest}{more}")
        self._add(f"{rule}_first_{len(pairs)}", "")
        self._add(f"{rule}_rest_{len(pairs)}", "")

    def _tagged(self, number: int, name: str, value: Any) -> str:
        notation = self._notation
        assert isinstance(notation, TaggedArguments)
        rule, write = f"{self._name}_{number}", self._literals.write
        types = types_of(value, self._schema)
        is_text = not types or "string" in types
        after = notation.after_name
        if notation.after_other_name and types != TEXT:
            after, is_text = notation.after_other_name, False
        before, _, rest = f"{notation.before_name}{name}{after}".partition(OTHER_TYPE)
        head = write(before) if not rest else f"{write(before)} {_names(types)} {write(rest)}"
        end = write(notation.closer)
        choices = choices_of(value) if is_text else None
        if choices:
            written = f"({' | '.join(map(write, choices))}) {end}"
        elif is_text:
            written = f"{rule}_text"
            self._rules.lines += self._literals.text_until(written, notation.closer.strip())
        else:
            written = f"{self._json(rule, value)} {end}"
        self._add(rule, f"{head} {written} {write(notation.between)}")
        return rule

    def _any_tagged(self, notation: TaggedArguments) -> str:
        rule, write = f"{self._name}_any", self._literals.write
        self._rules.lines += self._literals.text_until(f"{rule}_text", notation.closer.strip())
        before, after = write(notation.before_name), write(notation.after_name)
        self._add(rule, f"{before} {_KEY} {after} {rule}_text {write(notation.between)}")
        return rule

    def _literal(
        self, number: int, name: str, value: Any, notation: LiteralArguments, within: str = ""
    ) -> str:
        """Add the rule of a name with its value; `within` is the rule of the object around it."""
        rule, write = f"{within or self._name}_{number}", self._literals.write
        separator = ":" if notation.is_object else "="
        types = types_of(value, self._schema)
        if types == {"boolean"} and not notation.is_object and not choices_of(value):
            written = '("True" | "False")'
        elif notation.quote != _JSON_QUOTE:
            written = self._value(rule, value, notation)
        else:
            written = self._json(rule, value)
        self._add(rule, f"{write(name + separator)} {written}")
        return rule

    def _value(self, rule: str, value: Any, notation: LiteralArguments) -> str:
        """Return a value whose texts have quotation marks of their own, however deep.

        What has further constraints or refers to definitions is written in JSON.
        """
        if types_of(value, self._schema) == TEXT:
            return self._quoted(rule, value, notation.quote)
        if _references(value):
            return self._json(rule, value)
        if has_only(value, "array", "items"):
            item = self._value(f"{rule}_item", value["items"], notation)
            return f'"[" ({item} ("," {item})*)? "]"'
        if has_only(value, "object", "properties", "required", "additionalProperties"):
            required = value.get("required") or []
            pairs = [
                (self._literal(number, name, inner, notation, rule), name in required)
                for number, (name, inner) in enumerate(value["properties"].items())
            ]
            self._join(f"{rule}_object", pairs, notation)
            return f"{rule}_object"
        return self._json(rule, value)

    def _any_literal(self, notation: LiteralArguments) -> str:
        """Return any number of names with values in JSON."""
        rule = f"{self._name}_any"
        separator, comma = ('":"', '","') if notation.is_object else ('"="', '", "')
        one = f"{_KEY} {separator} {self._json(rule, True)}"
        self._add(rule, f"{one} ({comma} {one})*")
        return rule

    def _quoted(self, rule: str, value: Any, quote: str) -> str:
        """Return a text between quotation marks that know no escapes."""
        choices, write = choices_of(value), self._literals.write
        if choices:
            return f"({' | '.join(write(quote + choice + quote) for choice in choices)})"
        if not is_free(value):
            return self._json(rule, value)
        self._rules.lines += self._literals.text_until(f"{rule}_text", quote)
        return f"{write(quote)} {rule}_text"

    def _json(self, rule: str, value: Any) -> str:
        """Return a value in JSON."""
        shared = ("$defs", "definitions")
        schema: dict[str, Any] = {n: self._schema[n] for n in shared if n in self._schema}
        if isinstance(value, dict) and not _refers_elsewhere(value):
            schema |= value
        name = f"{rule}_json"
        self._rules.grammars.append({"name": name, "json_schema": schema | {"x-guidance": LAYOUT}})
        return f"@{name}"


def _names(types: frozenset[str]) -> str:
    """Return the names of types that a value may have, of which the model writes one."""
    names = {"number" if one == "integer" else one for one in types - TEXT}
    listed = sorted(names) or ["array", "boolean", "null", "number", "object"]
    return f"/({'|'.join(listed)})/"


def _refers_elsewhere(node: Any) -> bool:
    """Return True if a part of a schema refers to what is not among the definitions."""
    return any(
        not reference.startswith(("#/$defs/", "#/definitions/")) for reference in _references(node)
    )


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [reference for inner in node for reference in _references(inner)]
    if not isinstance(node, dict):
        return []
    found = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return found + [reference for inner in node.values() for reference in _references(inner)]
