"""Tool calls separated from the answer around them, at any chunk boundaries."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profile.formats.table import GENERIC
from models.profile.thinking import KNOWN_TAGS
from worker.parsing.segments import Kind
from worker.parsing.tool_calls import MAX_CALL
from worker.parsing.turns import TurnFormat

CALL = '<tool_call>{"name": "f"}</tool_call>'
FORMAT = TurnFormat(think_tags=KNOWN_TAGS[0], call_format=GENERIC)
_SCRAPS = st.sampled_from(["<think>", "</think>", "<tool_call>", "</tool_call>", "<tool", "a", " "])


def split(*texts: str, turn_format: TurnFormat = FORMAT) -> list[tuple[Kind, str]]:
    splitter = turn_format.parser(opens_reasoning=False)
    pieces = [piece for text in texts for piece in splitter.add(text)] + splitter.flush()
    joined: list[tuple[Kind, str]] = []
    for kind, group in itertools.groupby(pieces, key=lambda piece: piece.kind):
        texts_of_kind = [piece.text for piece in group]
        joined += (
            [(kind, part) for part in texts_of_kind]
            if kind is Kind.CALL
            else [(kind, "".join(texts_of_kind))]
        )
    return joined


def test_calls_are_segments_of_their_own() -> None:
    assert split(f"a {CALL}{CALL}\nb") == [
        (Kind.ANSWER, "a "),
        (Kind.CALL, CALL),
        (Kind.CALL, CALL),
        (Kind.ANSWER, "\nb"),
    ]


def test_reasoning_calls_nothing() -> None:
    kinds = [kind for kind, _ in split(f"<think>{CALL}</think>{CALL}")]

    assert kinds.count(Kind.CALL) == 1
    assert Kind.REASONING in kinds


@pytest.mark.parametrize("text", ["<tool_call>{", "<tool_cal", "a</tool_call>"])
def test_what_is_no_whole_call_is_an_answer(text: str) -> None:
    assert split(text) == [(Kind.ANSWER, text)]


def test_what_is_too_long_is_no_call_and_not_held() -> None:
    splitter = FORMAT.parser(opens_reasoning=False)

    pieces = splitter.add("<tool_call>" + "x" * MAX_CALL)

    assert {piece.kind for piece in pieces} == {Kind.ANSWER}


def test_without_tools_a_call_is_an_answer() -> None:
    assert split(CALL, turn_format=TurnFormat()) == [(Kind.ANSWER, CALL)]


@given(st.lists(_SCRAPS, max_size=12), st.data())
def test_where_the_text_is_cut_makes_no_difference(scraps: list[str], data: st.DataObject) -> None:
    text = "".join(scraps)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    parts = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]

    pieces = split(*parts)

    assert pieces == split(text)
    assert "".join(part for _, part in pieces) == text
