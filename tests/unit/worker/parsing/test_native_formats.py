"""Turns in the notations of model families: read alike at every cut, and while they are written."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.worker.parsing.native_turns import NativeTurn, native_turns, read

TURNS = native_turns()
CALLS = [turn for turn in TURNS if turn.calls]
SHORT = [turn for turn in CALLS if turn.kind != "several calls"]
IDS = [f"{turn.family}: {turn.kind}" for turn in TURNS]


@pytest.mark.parametrize("turn", TURNS, ids=IDS)
def test_every_family_is_read_alike_wherever_its_turn_is_cut(turn: NativeTurn) -> None:
    text, turn_format, opens = turn.turn, turn.turn_format, turn.opens_reasoning

    whole = read(turn_format, text, opens_reasoning=opens)

    assert [(name, json.loads(arguments)) for name, arguments in whole.calls] == turn.calls
    assert whole.num_ended == len(turn.calls)
    assert whole.reasoning.strip() == turn.reasoning
    assert whole.answer.strip() == turn.answer
    assert read(turn_format, *text, opens_reasoning=opens) == whole
    for cut in range(len(text)):
        assert read(turn_format, text[:cut], text[cut:], opens_reasoning=opens) == whole


@pytest.mark.parametrize("turn", SHORT, ids=[f"{turn.family}: {turn.kind}" for turn in SHORT])
def test_what_breaks_off_is_never_more_than_what_comes(turn: NativeTurn) -> None:
    turn_format, opens = turn.turn_format, turn.opens_reasoning
    whole = read(turn_format, turn.turn, opens_reasoning=opens)

    for length in range(len(turn.turn)):
        part = read(turn_format, turn.turn[:length], opens_reasoning=opens)
        assert len(part.calls) <= len(whole.calls)
        for (name, arguments), (whole_name, whole_arguments) in zip(
            part.calls, whole.calls, strict=False
        ):
            assert name == whole_name
            assert whole_arguments.startswith(arguments)


_FORMATS = {turn.marks: turn for turn in CALLS}
_SCRAPS = sorted({turn.turn[n : n + 9] for turn in CALLS for n in range(0, len(turn.turn), 5)})


@pytest.mark.parametrize("turn", _FORMATS.values(), ids=[turn.family for turn in _FORMATS.values()])
@settings(max_examples=12)
@given(data=st.data())
def test_where_scraps_of_turns_are_cut_makes_no_difference(
    turn: NativeTurn, data: st.DataObject
) -> None:
    own = [turn.turn[n : n + 7] for n in range(0, len(turn.turn), 3)]
    scraps = st.lists(st.sampled_from(own) | st.sampled_from(_SCRAPS), max_size=20)
    text = "".join(data.draw(scraps))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    parts = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]

    assert read(turn.turn_format, *parts) == read(turn.turn_format, text)
