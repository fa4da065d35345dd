"""No output is called completed that an independent validator rejects (finding D2)."""

import json
import logging
from typing import Any

import pytest

from models.grammars.outputs import (
    call_constraints,
    find_output_fault,
    text_constraint,
)
from models.grammars.validators import Language, UnknownValidityError
from models.recording.recorder import Recorder
from models.responses.ending import EndingCause
from models.responses.status import ResponseStatus
from models.schemas.request.parameters import GenerationParameters
from tests.unit.worker.generation.memory_log import MemoryLog, claimed_response
from worker.generation.output.validation import validated_cause

OBJECT = {"type": "object", "properties": {"a": {"type": "integer", "maximum": 3}}}
NESTED = {"$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}
TWICE = {"$defs": {"i": {"type": "integer"}}, "items": {"$ref": "#/$defs/i"}}
EXPLODING = {"allOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}
SUM = 'start: term ("+" term)*\nterm: NUMBER | "(" start ")"\nNUMBER: /[0-9]{1,3}/\n'
COMPLETED = EndingCause(status=ResponseStatus.COMPLETED)
TOOL = {"type": "function", "name": "f", "parameters": OBJECT}


def parameters_of(**fields: Any) -> GenerationParameters:
    return GenerationParameters.model_validate(fields)


def schema_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"text": {"format": {"type": "json_schema", "name": "s", "schema": schema}}}


@pytest.mark.parametrize(
    ("language", "source", "valid", "invalid"),
    [
        ("json_schema", OBJECT, ['{"a": 3}', "{}"], ['{"a": 4}', "[]", "{", '{"a": 1, "a": 2}']),
        ("json_schema", {"const": 9007199254740995}, ["9007199254740995"], ["9007199254740996"]),
        ("json_schema", {"pattern": '^[^"]$'}, ['"a"', '"\\n"'], ['"\\""']),
        ("json_schema", {"multipleOf": 0.01}, ["4.35", "19.99"], ["0.035"]),
        ("json_schema", {"format": "date"}, ['"2024-02-29"'], ['"2023-02-29"']),
        ("json_schema", NESTED, ["[[], []]"], ["[1]"]),
        ("json_schema", TWICE, ["[1]"], ['["a"]']),
        ("regex", r"a|(\d{2})+", ["a", "1234"], ["", "123", "ab", "\u0661\u0661"]),
        ("regex", "[a-z&&[^b]]", ["a"], ["b"]),
        ("lark", SUM, ["1+(2+3)"], ["1+", ""]),
    ],
)
def test_each_language_has_its_validator(
    language: Language, source: Any, valid: list[str], invalid: list[str]
) -> None:
    constraint = (language, source if isinstance(source, str) else json.dumps(source))

    assert [text for text in valid if find_output_fault(constraint, text)] == []
    assert [text for text in invalid if not find_output_fault(constraint, text)] == []


@pytest.mark.parametrize(
    ("language", "source", "text"),
    [
        ("regex", "a++a", "aa"),
        ("json_schema", '{"$ref": "https://example.org/schema"}', "1"),
        ("json_schema", "{}", "[" * 500 + "]" * 500),
        ("json_schema", json.dumps(EXPLODING), "[" * 40 + "]" * 40),
        ("json_schema", '{"type": "number"}', "1e99999999999999999999"),
        ("lark", 'start: %json {"const": 1}', "1"),
        ("lark", "start: /(a+)+b/", "a" * 60),
    ],
    ids=[
        "possessive",
        "remote",
        "deep",
        "exponential schema",
        "exponent",
        "llguidance",
        "exponential regex",
    ],
)
def test_what_cannot_be_validated_within_bounds_is_unknown(
    language: Language, source: str, text: str
) -> None:
    with pytest.raises(UnknownValidityError):
        find_output_fault((language, source), text)


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({}, None),
        ({"text": {"format": {"type": "json_object"}}}, ("json_schema", '{"type":"object"}')),
        (schema_of({"const": 1}), ("json_schema", '{"const":1}')),
        (schema_of({"const": 1}) | {"stop": ["x"]}, None),
        ({"grammar": {"type": "regex", "value": "a"}}, ("regex", "a")),
        ({"grammar": {"type": "json_schema", "value": "{}"}}, ("json_schema", "{}")),
    ],
)
def test_messages_have_the_constraint_of_their_request(
    fields: dict[str, Any], constraint: tuple[str, str] | None
) -> None:
    assert text_constraint(parameters_of(**fields)) == constraint


def test_arguments_are_validated_against_what_is_enforced() -> None:
    parameters = {**OBJECT, "not": {}}
    constraints = call_constraints(parameters_of(tools=[{**TOOL, "parameters": parameters}]))

    assert json.loads(constraints["f"][1]) == OBJECT


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def recorder_of(log: MemoryLog) -> Recorder:
    recorder = Recorder(claimed_response(), log)
    recorder.begin()
    return recorder


def test_an_output_that_breaks_its_constraint_fails_the_response(
    log: MemoryLog, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_of(log)
    recorder.writer().add_text('{"a": 4}')

    cause = validated_cause(COMPLETED, recorder, parameters_of(**schema_of(OBJECT)))

    assert cause.status is ResponseStatus.FAILED
    assert cause.error is not None
    assert (
        "a defect of this server: 4 is greater than the maximum of 3 at $.a"
        in cause.error["message"]
    )
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_arguments_that_break_their_schema_fail_the_response(log: MemoryLog) -> None:
    recorder = recorder_of(log)
    recorder.writer().open_call("function_call", name="f")
    recorder.writer().add_arguments('{"a": "b"}')

    cause = validated_cause(COMPLETED, recorder, parameters_of(tools=[TOOL]))

    assert cause.status is ResponseStatus.FAILED


@pytest.mark.parametrize("text", ['{"a": 3}', '\n\n{"a": 3}'])
def test_a_valid_output_stays_completed(log: MemoryLog, text: str) -> None:
    recorder = recorder_of(log)
    recorder.writer().add_text(text)

    assert validated_cause(COMPLETED, recorder, parameters_of(**schema_of(OBJECT))) is COMPLETED


def test_an_output_that_is_cut_off_is_not_validated(log: MemoryLog) -> None:
    recorder = recorder_of(log)
    recorder.writer().add_text('{"a"')
    cause = EndingCause(status=ResponseStatus.INCOMPLETE)

    assert validated_cause(cause, recorder, parameters_of(**schema_of(OBJECT))) is cause
