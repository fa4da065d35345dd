import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.parsing.stop import StopMatcher


def shown(stop_strings: list[str], pieces: list[str]) -> tuple[str, bool]:
    matcher = StopMatcher(stop_strings)
    results = [matcher.add(piece) for piece in pieces]
    text = "".join(text for text, _ in results)
    return text + matcher.flush(), any(is_stopped for _, is_stopped in results)


def test_text_before_a_stop_string_is_shown_and_the_string_is_not() -> None:
    assert shown(["END"], ["so it ENDs here"]) == ("so it ", True)


def test_a_possible_start_is_held_back_until_it_is_none() -> None:
    matcher = StopMatcher(["END"])

    assert matcher.add("an E") == ("an ", False)
    assert matcher.add("N") == ("", False)
    assert matcher.add("T") == ("ENT", False)


def test_nothing_is_shown_after_the_stop() -> None:
    matcher = StopMatcher(["."])
    matcher.add("a.b")

    assert matcher.add("c") == ("", True)
    assert matcher.flush() == ""


def test_the_string_that_is_complete_first_counts() -> None:
    assert shown(["abcd", "c"], ["xabcd"]) == ("xab", True)


def test_an_unfinished_stop_string_is_text_after_all() -> None:
    assert shown(["END"], ["the EN"]) == ("the EN", False)


def test_without_stop_strings_all_text_passes() -> None:
    assert StopMatcher([]).add("text") == ("text", False)


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        StopMatcher(["a", ""])


@given(
    stop_strings=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
    pieces=st.lists(st.text("abc", max_size=5), max_size=8),
)
def test_how_the_text_is_cut_changes_nothing(stop_strings: list[str], pieces: list[str]) -> None:
    whole = shown(stop_strings, ["".join(pieces)])

    assert shown(stop_strings, pieces) == whole
    assert whole[1] == any(stop in "".join(pieces) for stop in stop_strings)
