"""Bounds on what is multiplied when schemas apply to the same value.

Schemas are combined by `allOf`, by a `$ref` with keywords beside it, and by `anyOf` and `oneOf`
with keywords beside them. The compiler intersects their regular expressions, which takes time
exponential in their number, and expands every reference and every choice of branches.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

from models.grammars.json_schema.errors import UnenforceableError

MAX_INTERSECTED = 8
"""Maximum number of patterns and formats that one string, or one name of a property, must match."""
MAX_COMBINED = 256
"""Maximum number of schemas that apply to one value, those behind references included."""
MAX_COMBINATIONS = 1024
"""Maximum number of ways to choose a branch of every `anyOf` and `oneOf` that apply to a value."""
MAX_STEPS = 50_000
"""Maximum number of parts of a value, counted again for every branch of an `anyOf` or `oneOf`."""

_BRANCHES = ("anyOf", "oneOf")
_FOLLOWED = {*_BRANCHES, "allOf", "$ref"}
_MAPS = ("properties", "patternProperties")
_SINGLE = ("additionalProperties", "items", "additionalItems", "contains", "propertyNames", "not")

Schema = dict[str, Any]


class TooManyCombinedError(UnenforceableError):
    """Too many schemas are combined; the message says of what, and names the limit."""


def check_intersections(schema: Schema) -> None:
    """Raise `TooManyCombinedError` if what the schema combines exceeds a limit."""
    _Walk(schema).run()


class _Walk:
    """Walk over all values that a schema describes, with the schemas that apply to each."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._seen: set[tuple[int, ...]] = set()
        self._pending: list[list[Schema]] = [[root]]
        self._stripped: dict[int, Schema] = {}
        self._num_steps = 0

    def run(self) -> None:
        while self._pending:
            applied = self._resolve(self._pending.pop())
            key = tuple(sorted(map(id, applied)))
            if key in self._seen:
                continue
            self._seen.add(key)
            self._check(applied)
            self._add(self._branches(applied))
            self._add(_parts(applied))

    def _add(self, values: Iterator[list[Schema]]) -> None:
        """Add values, each as the list of schemas that apply to it."""
        for schemas in values:
            self._pending.append(schemas)
            self._num_steps += 1
            if self._num_steps > MAX_STEPS:
                raise TooManyCombinedError(f"its parts combine in more than {MAX_STEPS} ways")

    def _resolve(self, schemas: list[Schema]) -> list[Schema]:
        """Return the schemas with those in their `allOf` and behind their references.

        One that is reached in two ways is there twice, because the compiler expands it twice.
        """
        found: list[Schema] = []
        pending = [(schema, frozenset[int]()) for schema in schemas]
        while pending:
            schema, path = pending.pop()
            if id(schema) in path:
                continue
            found.append(schema)
            if len(found) > MAX_COMBINED:
                message = f"more than {MAX_COMBINED} schemas apply to one value (allOf, $ref)"
                raise TooManyCombinedError(message)
            targets = [*_listed(schema, "allOf"), *self._target(schema.get("$ref"))]
            pending += [(target, path | {id(schema)}) for target in targets]
        return found

    def _target(self, reference: object) -> list[Schema]:
        """Return the schema that a local reference points to, if there is one."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return []
        node: Any = self._root
        for name in filter(None, reference[1:].split("/")):
            key = name.replace("~1", "/").replace("~0", "~")
            node = node.get(key) if isinstance(node, dict) else None
        return _schemas([node])

    def _check(self, applied: list[Schema]) -> None:
        """Check the branches and the regular expressions that apply to one value."""
        choices = [
            branches
            for schema in applied
            for name in _BRANCHES
            if (branches := _listed(schema, name))
        ]
        sizes = [len(branches) for branches in choices]
        if prod(sizes) > max([MAX_COMBINATIONS, *sizes]):
            raise TooManyCombinedError(
                f"more than {MAX_COMBINATIONS} combinations of branches apply to one value"
            )
        num_patterns = _count_patterns(applied)
        for branches in choices:
            num_patterns += max(_count_patterns(self._resolve([branch])) for branch in branches)
        if num_patterns > MAX_INTERSECTED:
            raise TooManyCombinedError(
                f"more than {MAX_INTERSECTED} patterns apply to one string (allOf, anyOf, $ref)"
            )

    def _branches(self, applied: list[Schema]) -> Iterator[list[Schema]]:
        """Yield each branch, together with the keywords that apply beside it."""
        rest = [self._strip(schema) for schema in applied]
        for schema in applied:
            for name in _BRANCHES:
                for branch in _listed(schema, name):
                    yield [*rest, branch]

    def _strip(self, schema: Schema) -> Schema:
        """Return the schema without what `_resolve` and `_branches` have followed."""
        if _FOLLOWED.isdisjoint(schema):
            return schema
        if id(schema) not in self._stripped:
            kept = {name: value for name, value in schema.items() if name not in _FOLLOWED}
            self._stripped[id(schema)] = kept
        return self._stripped[id(schema)]


def _count_patterns(applied: list[Schema]) -> int:
    """Return the number of regular expressions that a string, or a property's name, must match."""
    num_patterns = sum(("pattern" in schema) + ("format" in schema) for schema in applied)
    return max(num_patterns, sum("patternProperties" in schema for schema in applied))


def _parts(applied: list[Schema]) -> Iterator[list[Schema]]:
    """Yield, for every part of a value, the schemas that apply to it."""
    for keyword in _MAPS:
        maps = [schema[keyword] for schema in applied if isinstance(schema.get(keyword), dict)]
        for name in {name: None for names in maps for name in names}:
            yield _schemas(names.get(name) for names in maps)
    for keyword in _SINGLE:
        yield _schemas(schema.get(keyword) for schema in applied)
    lists = [_listed(schema, "prefixItems") for schema in applied]
    for position in range(max(map(len, lists), default=0)):
        yield _schemas(items[position] for items in lists if position < len(items))


def _listed(schema: Schema, keyword: str) -> list[Schema]:
    value = schema.get(keyword)
    return list(_schemas(value)) if isinstance(value, list) else []


def _schemas(values: Any) -> list[Schema]:
    return [value for value in values if isinstance(value, dict)]
