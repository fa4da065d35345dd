"""Ids: ordered by time in the database, with one canonical form in the API."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from models.ids import (
    call_id_of,
    choice_of,
    id_floor,
    input_item_id,
    new_id,
    new_item_id,
    output_item_id,
    parse_item_id,
    parse_response_id,
    response_wire_id,
)
from models.schemas.items import InputItem
from models.schemas.output import OutputItem
from tests.unit.models.schemas.fields.test_fields import types_of

_HEX = "0198f3a4b5c67d8e9fa0b1c2d3e4f506"


def test_ids_sort_as_they_were_made() -> None:
    ids = [new_id() for _ in range(1000)]

    assert ids == sorted(set(ids))
    assert {id_.version for id_ in ids} == {7}


def test_a_wire_id_leads_back_to_its_id() -> None:
    response_id = new_id()

    wire_id = response_wire_id(response_id)

    assert wire_id == f"resp_{response_id.hex}"
    assert parse_response_id(wire_id) == response_id


@pytest.mark.parametrize(
    "wire_id",
    [
        "",
        "resp_",
        _HEX,
        f"msg_{_HEX}",
        f"RESP_{_HEX}",
        f"resp_{_HEX[:-1]}",
        f"resp_{_HEX}0",
        f"resp_resp_{_HEX}",
        f"resp_{_HEX[:-1]}g",
        f"resp_{_HEX[:-1]}\N{ARABIC-INDIC DIGIT ONE}",
        "resp_0198f3a4-b5c6-7d8e-9fa0-b1c2d3e4f506",
        f"resp_{{{_HEX[2:]}}}",
    ],
)
def test_what_is_no_wire_id_is_nobodys(wire_id: str) -> None:
    assert parse_response_id(wire_id) is None


@pytest.mark.parametrize(
    "digits",
    [f"+{_HEX[1:]}", f" {_HEX[1:]}", f"0x{_HEX[2:]}", f"{_HEX[:8]}_{_HEX[9:]}", f"{_HEX[:-1]}\n"],
)
def test_what_python_reads_as_a_number_is_no_id_for_that(digits: str) -> None:
    assert parse_response_id(f"resp_{digits}") is None


def test_the_floor_of_a_moment_divides_the_ids_before_from_those_after() -> None:
    before = datetime.now(UTC)

    response_id = new_id()

    assert id_floor(before) <= response_id
    assert id_floor(before + timedelta(minutes=1)) > response_id


def test_items_of_one_response_have_different_ids_that_are_always_the_same() -> None:
    response_id = new_id()
    kinds = ("message", "function_call", "reasoning")

    first, second = (
        [
            make(kind, response_id, n)
            for make in (input_item_id, output_item_id)
            for kind in kinds
            for n in range(3)
        ]
        for _ in range(2)
    )

    assert first == second
    assert len(set(first)) == 18


@pytest.mark.parametrize(
    ("kind", "prefix"), [("message", "msg_"), ("function_call", "fc_"), ("reasoning", "rs_")]
)
def test_the_id_of_an_item_says_what_it_is(kind: str, prefix: str) -> None:
    assert output_item_id(kind, new_id(), 0).startswith(prefix)
    assert input_item_id(kind, new_id(), 0).startswith(prefix)


@pytest.mark.parametrize("choice", [0, 1, 15])
def test_the_id_of_an_output_item_says_which_choice_it_belongs_to(choice: int) -> None:
    assert choice_of(output_item_id("message", new_id(), 7, choice)) == choice


def test_calls_of_one_response_have_different_ids() -> None:
    response_id = new_id()
    items = [output_item_id("function_call", response_id, n, c) for n in (0, 1) for c in (0, 1)]

    call_ids = {call_id_of(item_id) for item_id in items}

    assert len(call_ids) == 4
    assert all(len(call_id) <= 64 for call_id in call_ids)


def test_an_item_id_names_the_response_that_it_was_made_for() -> None:
    response_id = new_id()
    made = [
        input_item_id("message", response_id, 3),
        output_item_id("message", response_id, 0),
        output_item_id("reasoning", response_id, 12, choice=3),
    ]

    assert {parse_item_id(item_id) for item_id in made} == {response_id}
    assert parse_item_id(new_item_id("message")) is not None


@pytest.mark.parametrize(
    "item_id",
    ["mine", "", "msg_1", f"msg_{uuid4().hex}", f"msg_{new_id().hex}00", f"MSG_{new_id().hex}_0"],
)
def test_any_other_item_id_was_made_elsewhere(item_id: str) -> None:
    assert parse_item_id(item_id) is None


def test_every_type_of_item_has_ids_of_its_own() -> None:
    kinds = [kind for table in (InputItem, OutputItem) for kind in types_of(table)]
    made = {kind: new_item_id(kind).partition("_")[0] for kind in kinds if kind != "item_reference"}

    assert len(made) > 20
    assert len(set(made.values())) == len(made)
