"""Reasoning separated from the answer, at any chunk boundaries."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profile.thinking import KNOWN_TAGS, ThinkTags
from worker.parsing.reasoning import ReasoningParser
from worker.parsing.segments import Kind, Segment

TAGS = KNOWN_TAGS[0]
_SCRAPS = st.sampled_from(["<think>", "</think>", "<th", "</th", " ", "\n", "a", "b.", "<"])


def split(
    *texts: str, tags: ThinkTags | None = TAGS, is_open: bool = False
) -> list[tuple[Kind, str]]:
    """Return the segments of the texts, adjacent ones of a kind joined."""
    splitter = ReasoningParser(tags, is_open=is_open)
    pieces = [piece for text in texts for piece in splitter.add(text)] + splitter.flush()
    grouped = itertools.groupby(pieces, key=lambda piece: piece.kind)
    return [(kind, "".join(piece.text for piece in group)) for kind, group in grouped]


def test_reasoning_has_its_tags_and_the_answer_follows() -> None:
    assert split("<think>\nHm. So.\n</think>\n\nYes.") == [
        (Kind.TAG, "<think>\n"),
        (Kind.REASONING, "Hm. So."),
        (Kind.TAG, "\n</think>"),
        (Kind.SPACE, "\n\n"),
        (Kind.ANSWER, "Yes."),
    ]


def test_a_prompt_may_have_begun_the_reasoning() -> None:
    assert split("\nHm.</think>Yes.", is_open=True) == [
        (Kind.TAG, "\n"),
        (Kind.REASONING, "Hm."),
        (Kind.TAG, "</think>"),
        (Kind.ANSWER, "Yes."),
    ]


@pytest.mark.parametrize("text", ["Yes.", " Yes.", "I <think>so</think>.", "<thin ice", "<th"])
def test_what_does_not_begin_with_reasoning_is_an_answer(text: str) -> None:
    assert split(text) == [(Kind.ANSWER, text)]


def test_white_space_alone_is_an_answer_before_reasoning_and_nothing_after_one() -> None:
    assert split("\n ") == [(Kind.ANSWER, "\n ")]
    assert split("<think>a</think>\n")[-1] == (Kind.SPACE, "\n")


def test_a_second_reasoning_block_may_follow_the_first() -> None:
    kinds = [kind for kind, _ in split("<think>a</think>\n<think>b</think>c")]

    assert kinds.count(Kind.REASONING) == 2
    assert kinds[-1] is Kind.ANSWER


@pytest.mark.parametrize("text", ["<think></think>a", "<think>\n\n</think>\n\na"])
def test_empty_reasoning_is_none(text: str) -> None:
    assert Kind.REASONING not in [kind for kind, _ in split(text)]


@pytest.mark.parametrize("end", ["", "</th", "\n", "\n</thnk"])
def test_reasoning_that_is_cut_off_is_one_up_to_there(end: str) -> None:
    pieces = split("<think>a b" + end)

    assert "".join(text for kind, text in pieces if kind is Kind.REASONING) == f"a b{end}".rstrip()
    assert Kind.ANSWER not in [kind for kind, _ in pieces]


@pytest.mark.parametrize("tags", KNOWN_TAGS)
def test_every_known_spelling_is_understood(tags: ThinkTags) -> None:
    pieces = split(f"{tags.opener}a{tags.closer}b", tags=tags)

    assert pieces[1] == (Kind.REASONING, "a")
    assert pieces[-1] == (Kind.ANSWER, "b")


def test_without_tags_all_is_an_answer_at_once() -> None:
    assert ReasoningParser(None).add("<think>a") == [Segment(Kind.ANSWER, "<think>a")]


@given(st.lists(_SCRAPS, max_size=12), st.booleans(), st.data())
def test_where_the_text_is_cut_makes_no_difference(
    scraps: list[str], is_open: bool, data: st.DataObject
) -> None:
    text = "".join(scraps)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    parts = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]

    pieces = split(*parts, is_open=is_open)

    assert pieces == split(text, is_open=is_open)
    assert "".join(part for _, part in pieces) == text
