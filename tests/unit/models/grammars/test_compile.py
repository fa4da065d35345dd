"""From `text.format` to a grammar, and grammars that are refused before the request is accepted."""

from typing import Any

import llguidance
import llguidance.hf
import pytest

from models.errors import InvalidRequestError
from models.grammars.compile import grammar_of
from models.grammars.validate import GrammarChecker
from models.schemas.request.parameters import GenerationParameters
from tests.unit.models.tiny_tokenizer import tiny_tokenizer


def parameters_of(text: dict[str, Any] | None) -> GenerationParameters:
    return GenerationParameters.model_validate({"text": text})


def grammar_from(schema: dict[str, Any]) -> str:
    chosen = {"type": "json_schema", "name": "answer", "schema": schema}
    grammar = grammar_of(parameters_of({"format": chosen}))
    assert grammar is not None
    return grammar


def nest(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


def accepts(grammar: str, text: str) -> bool:
    """Return True if the grammar accepts the whole text."""
    tokenizer = tiny_tokenizer()
    matcher = llguidance.LLMatcher(llguidance.hf.from_tokenizer(tokenizer), grammar, log_level=0)
    tokens = tokenizer.backend_tokenizer.encode(text).ids
    return matcher.consume_tokens(tokens) and matcher.is_accepting()


@pytest.fixture(scope="module")
def checker() -> GrammarChecker:
    return GrammarChecker(tiny_tokenizer())


@pytest.mark.parametrize(
    "text", [None, {}, {"format": None}, {"format": {"type": "text"}}, {"verbosity": "low"}]
)
def test_free_text_has_no_grammar(text: dict[str, Any] | None) -> None:
    assert grammar_of(parameters_of(text)) is None


def test_the_grammar_allows_instances_of_the_schema_and_nothing_else() -> None:
    grammar = grammar_from({"type": "array", "items": {"type": "integer"}, "maxItems": 2})

    assert accepts(grammar, "[1, 2]")
    assert not accepts(grammar, "[1, 2, 3]")
    assert not accepts(grammar, '["1"]')


def test_properties_are_written_in_the_order_of_the_schema() -> None:
    number = {"type": "integer"}
    schema = {"type": "object", "properties": {"zeta": number, "a": number}}

    grammar = grammar_from(schema | {"required": ["a", "zeta"], "additionalProperties": False})

    assert accepts(grammar, '{"zeta": 1, "a": 2}')
    assert not accepts(grammar, '{"a": 2, "zeta": 1}')


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "thing"}, "'thing' is not valid"),
        ({"properties": {"a": {"minLength": -1}}}, r"at \$\.properties\.a\.minLength"),
        ({"pattern": "("}, r"\$\.pattern: the pattern '\(' is not valid"),
        (nest(250), "nested too deeply"),
        ({"x-guidance": {"lenient": True}}, "x-guidance is not supported"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_reason(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as raised:
        grammar_from(schema)

    assert raised.value.param == "text.format.schema"
    assert raised.value.code == "invalid_json_schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"not": {"type": "string"}},
        {"type": "array", "uniqueItems": True},
        {"if": {"type": "string"}, "then": {"minLength": 2}},
        {"properties": {"a": {"dependentRequired": {"b": ["c"]}}}},
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"type": "string", "format": "unheard-of"},
        {"type": "string", "pattern": "(?=a)b"},
        {"$ref": "#/nowhere"},
        {"$ref": "http://localhost/schema.json"},
        {"enum": []},
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused(
    checker: GrammarChecker, schema: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        checker.check(grammar_from(schema), param="text.format.schema")

    assert raised.value.param == "text.format.schema"
    assert raised.value.code == "invalid_json_schema"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"enum": [f"choice {number}" for number in range(60_000)]}, "too big"),
        ({"properties": {f"p{number}": {} for number in range(2001)}}, "more than 2000 properties"),
        ({"anyOf": [{"pattern": "a"}] * 1001}, "more than 1000 patterns"),
        ({"items": {"minLength": 1 << 21}}, "minLength is more than 1048576"),
    ],
)
def test_a_schema_too_large_to_be_followed_in_time_is_refused(
    schema: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        grammar_from(schema)


def test_data_in_a_schema_is_not_taken_for_its_keywords() -> None:
    grammar = grammar_from({"const": {"minItems": 10**9}})

    assert accepts(grammar, '{"minItems": 1000000000}')


def test_a_schema_that_compiles_but_whose_first_mask_fails_is_refused(
    checker: GrammarChecker,
) -> None:
    grammar = grammar_from({"anyOf": [{"properties": {f"k{n}": {}}} for n in range(1000)]})

    with pytest.raises(InvalidRequestError, match="items"):
        checker.check(grammar, param="text.format.schema")


def test_a_refused_grammar_is_refused_each_time(checker: GrammarChecker) -> None:
    grammar = grammar_from({"not": {}})

    messages = set()
    for _ in range(2):
        with pytest.raises(InvalidRequestError) as raised:
            checker.check(grammar, param="text.format.schema")
        messages.add(raised.value.message)

    assert messages == {'Invalid schema for text.format.schema: Unimplemented keys: ["not"]'}


def test_a_grammar_that_can_be_followed_passes(checker: GrammarChecker) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}}}

    checker.check(grammar_from(schema), param="text.format.schema")


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"not": {}}, "not"),
        ({"items": {"if": {}, "then": {}}}, "if"),
        ({"if": {}, "else": {}}, "else"),
        ({"items": {"uniqueItems": True}}, "uniqueItems"),
        ({"contains": {}}, "contains"),
        ({"oneOf": [{}, {}]}, "oneOf"),
    ],
)
def test_a_keyword_that_is_not_enforced_is_refused_by_name(
    checker: GrammarChecker, schema: dict[str, Any], keyword: str
) -> None:
    with pytest.raises(InvalidRequestError, match=keyword) as raised:
        checker.check(grammar_from(schema), param="text.format.schema")

    assert raised.value.param == "text.format.schema"


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("regex", "[.*", "unclosed character class"),
        ("regex", "((a{1000}){1000}){1000}", "more than 100000 times"),
        ("regex", "((a{1,40}){1,40}){1,40}", "too many expressions"),
        ("lark", f"start: T\nT: /a/{' & /a/' * 17}", "more than 16 operators & and ~"),
        ("lark", "start: /((a{1000}){1000}){1000}/", "more than 100000 times"),
        ("lark", "start: nowhere", "unknown name"),
        ("lark", '{"grammars":[{"lark_grammar":"start: /a/"}]}', "expecting rule"),
        ("lark", 'start: %json {"not": {}}', "not"),
        ("lark", "start: t\nt[temperature=0.5]: /a/", "temperature"),
        ("json_schema", "{", "not valid JSON"),
        ("json_schema", "[]", "not a JSON object"),
        ("json_schema", {"uniqueItems": True}, "uniqueItems"),
        ("llguidance", {"grammars": [{}]}, "lark_grammar or json_schema"),
        ("llguidance", {"grammars": [{"lark_grammar": "start: @b"}]}, "unknown grammar @b"),
        ("llguidance", {"grammars": [{"lark_grammar": "a" * 20_000}] * 2}, "too big"),
    ],
)
def test_a_bad_grammar_is_refused_with_the_compilers_message(
    checker: GrammarChecker, kind: str, value: Any, reason: str
) -> None:
    given = {"grammar": {"type": kind, "value": value}}
    parameters = GenerationParameters.model_validate(given)

    with pytest.raises(InvalidRequestError, match=reason) as raised:
        checker.check(grammar_of(parameters) or "", param="grammar.value")

    assert (raised.value.param, raised.value.code) == ("grammar.value", "invalid_grammar")


def test_a_schema_in_a_list_is_refused_at_its_place() -> None:
    value = {"grammars": [{"lark_grammar": "start: @b"}, {"json_schema": {"type": "thing"}}]}
    given = {"grammar": {"type": "llguidance", "value": value}}

    with pytest.raises(InvalidRequestError) as raised:
        grammar_of(GenerationParameters.model_validate(given))

    assert raised.value.param == "grammar.value.grammars[1].json_schema"
