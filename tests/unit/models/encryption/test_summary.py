"""Summaries of reasoning consist of sentences copied from it."""

import pytest

from models.encryption.summary import MAX_SENTENCE_LENGTH, MIN_DETAILED_LENGTH, summarise

THOUGHT = "What is asked? A number.\n\nFirst I add. It fails.\n\nThen I guess.\nIt is 7."


@pytest.mark.parametrize(
    ("length", "summary"),
    [
        ("concise", "What is asked?\nIt is 7."),
        ("detailed", "What is asked?\nFirst I add.\nThen I guess.\nIt is 7."),
        ("auto", "What is asked?\nIt is 7."),
    ],
)
def test_it_has_sentences_of_the_reasoning(length: str, summary: str) -> None:
    assert summarise(THOUGHT, length) == summary


def test_long_reasoning_is_summarised_in_detail_by_itself() -> None:
    long = THOUGHT.replace("A number.", "x" * MIN_DETAILED_LENGTH)

    assert summarise(long, "auto") == summarise(long, "detailed") != summarise(long, "concise")


@pytest.mark.parametrize("text", ["So.", "so"])
def test_one_sentence_is_its_own_summary(text: str) -> None:
    assert summarise(text, "detailed") == text


def test_a_sentence_without_end_is_cut() -> None:
    assert summarise("x" * 1000, "auto") == "x" * MAX_SENTENCE_LENGTH
