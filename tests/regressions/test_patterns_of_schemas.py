"""A pattern holds for the text that the JSON string stands for (findings D2 and D10)."""

import json
from typing import Any

import jsonschema_rs
import pytest

from models.errors import InvalidRequestError
from tests.acceptance.server import AntiphonServer
from tests.regressions.server_requests import case, completed, schema_format, text_of
from tests.unit.models.grammars.test_compile import accepts, grammar_from

TRIED = [
    *'"\\\n\t\x01\x1faAzé٦0!#[]~/^-& _',
    "\xa0",
    "\u2028",
    "\ufeff",
    "\x85",
    "\x7f",
    "\u212a",
    "\u017f",
]


def match(server: AntiphonServer, body: dict[str, Any]) -> None:
    """Assert that all strings of the answer match the pattern of their property."""
    answer = json.loads(text_of(completed(server, body)))
    schema = body["text"]["format"]["schema"]
    jsonschema_rs.validate(schema, answer, offline=True)


@pytest.mark.parametrize("name", ["pattern_excludes_quote", "pattern_unicode_class"])
def test_the_value_of_a_case_matches(server: AntiphonServer, name: str) -> None:
    match(server, case(name))


@pytest.mark.parametrize("pattern", [r"^[^\\]{2}$", r'^[^"\\]{1,3}$', r"^\P{L}{1,2}$", "^(?<y>a)$"])
def test_siblings_of_the_cases_match(server: AntiphonServer, pattern: str) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": pattern}},
        "required": ["a"],
    }
    # The bias is towards tokens that begin with a quotation mark.
    bias = {"35769": 60, "18": 40}

    match(
        server, {"input": "x", "max_output_tokens": 80, "logit_bias": bias, **schema_format(schema)}
    )


@pytest.mark.parametrize(
    "pattern",
    [
        r'^[^"]$',
        r"^[^\\]$",
        r'^[^"\\]$',
        r"^[^!-~]$",
        r"^\P{Po}$",
        r"^\PP$",
        r"^[\x00-\x1f]$",
        r"^[^\x22]$",
        r'^[^\s"]$',
        r"^[\s\S]$",
        r"^[\w\W]$",
        r"^\S$",
        r"^\W$",
        r"^\D$",
        r"^\s$",
        r"^\w$",
        r"^\d$",
        r"^.$",
        r"^[^\W\d]$",
        r"^[a&&b]$",
        r"^[[]$",
        r"^[^[\]]$",
        r"^[!--]$",
        r"^[~~]$",
        r"^[\^-]$",
        r"^\p{L}$",
        r"^(?<y>[^\n])$",
        r"^[^,\n\"]$",
    ],
)
def test_only_what_matches_in_every_language_is_generated(pattern: str) -> None:
    grammar = grammar_from({"type": "string", "pattern": pattern})
    validator = jsonschema_rs.validator_for({"pattern": pattern}, offline=True)

    accepted = [char for char in TRIED if accepts(grammar, quoted(char))]

    assert accepted or pattern == r"^[^!-~]$"
    assert all(validator.is_valid(char) for char in accepted), accepted


def quoted(char: str) -> str:
    return json.dumps(char, ensure_ascii=False)


def test_names_of_properties_match_their_patterns() -> None:
    schema = {"patternProperties": {'^[^"]$': {"type": "integer"}}, "additionalProperties": False}
    grammar = grammar_from({"type": "object", **schema})

    assert accepts(grammar, '{"a": 1}')
    assert accepts(grammar, '{"\\n": 1}')
    assert not accepts(grammar, '{"\\"": 1}')


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("^a++$", "possessive quantifier"),
        ("^[]a]$", "begins with ]"),
        ("^[[:alpha:]]$", r"contains \[:"),
        (r"^\<a$", "edge of a word"),
        (r"^[a", "is not valid: unterminated character set"),
    ],
)
def test_a_pattern_that_languages_read_differently_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as raised:
        grammar_from({"properties": {"a": {"pattern": pattern}}})

    assert "$.properties.a.pattern: " in raised.value.message


@pytest.mark.parametrize(
    ("name", "valid", "invalid"),
    [
        ("date", ["2024-02-29", "2000-02-29"], ["2023-02-29", "1900-02-29", "2023-04-31"]),
        ("time", ["23:59:59Z", "01:02:03.5+01:00"], ["23:59:60Z", "24:00:00Z", "01:02:03"]),
        ("date-time", ["2024-02-29T01:02:03Z"], ["1998-12-31T23:58:60Z", "2023-02-29T00:00:00Z"]),
        ("email", ["a.b@example.org"], ["a@b", "a@-b.org", "@b.org", f"{'a' * 65}@b.org"]),
        ("hostname", ["a-b.example"], ["-a", "a..b", "a_b"]),
    ],
)
def test_formats_hold(name: str, valid: list[str], invalid: list[str]) -> None:
    grammar = grammar_from({"type": "string", "format": name})

    assert all(accepts(grammar, json.dumps(text)) for text in valid)
    assert not any(accepts(grammar, json.dumps(text)) for text in invalid)


def test_a_format_and_a_pattern_hold_together() -> None:
    grammar = grammar_from({"type": "string", "format": "date", "pattern": "^20"})

    assert accepts(grammar, '"2024-02-29"')
    assert not accepts(grammar, '"1999-01-01"')
