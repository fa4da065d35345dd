"""From `text.format` to a grammar, and what is refused before a request is accepted."""

from typing import Any

import llguidance
import llguidance.hf
import pytest

from models.errors import InvalidRequestError
from models.grammar import GrammarChecker, grammar_of
from models.wire.request import GenerationParameters
from tests.unit.models.tiny_tokenizer import tiny_tokenizer


def parameters_of(text: dict[str, Any] | None) -> GenerationParameters:
    return GenerationParameters.model_validate({"text": text})


def grammar_from(schema: dict[str, Any]) -> str:
    chosen = {"type": "json_schema", "name": "answer", "schema": schema}
    grammar = grammar_of(parameters_of({"format": chosen}))
    assert grammar is not None
    return grammar


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


def follows(grammar: str, text: str) -> bool:
    """Whether the whole of a text is what the grammar allows."""
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

    assert follows(grammar, "[1,2]")
    assert not follows(grammar, "[1,2,3]")
    assert not follows(grammar, '["1"]')


def test_properties_are_written_in_the_order_of_the_schema() -> None:
    number = {"type": "integer"}
    schema = {"type": "object", "properties": {"zeta": number, "a": number}}

    grammar = grammar_from(schema | {"required": ["a", "zeta"], "additionalProperties": False})

    assert follows(grammar, '{"zeta":1,"a":2}')
    assert not follows(grammar, '{"a":2,"zeta":1}')


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "thing"}, "'thing' is not valid"),
        ({"properties": {"a": {"minLength": -1}}}, r"at \$\.properties\.a\.minLength"),
        ({"pattern": "("}, "is not a 'regex'"),
        (nested(250), "nested too deeply"),
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
    grammar = grammar_from(schema)

    with pytest.raises(InvalidRequestError) as raised:
        checker.check(grammar, param="text.format.schema")

    assert raised.value.param == "text.format.schema"
    assert raised.value.code == "invalid_json_schema"


def test_a_schema_too_large_to_be_followed_in_time_is_refused(checker: GrammarChecker) -> None:
    grammar = grammar_from({"enum": [f"choice {number}" for number in range(60_000)]})

    with pytest.raises(InvalidRequestError, match="too big"):
        checker.check(grammar, param="text.format.schema")


def test_a_schema_that_compiles_but_whose_first_mask_fails_is_refused(
    checker: GrammarChecker,
) -> None:
    grammar = grammar_from({"properties": {f"p{number}": {} for number in range(5000)}})

    with pytest.raises(InvalidRequestError, match="Too many items"):
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

    assert checker.check(grammar_from(schema), param="text.format.schema") is None
