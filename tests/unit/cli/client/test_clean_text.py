"""Text of models on terminals: nothing that a terminal would interpret is left, however split."""

import pytest

from cli.client.clean_text import TextCleaner, clean, clean_line

HOSTILE = {
    "\x1b[31mred\x1b[0m": "red",
    "\x1b[2J\x1b[Hcleared": "cleared",
    "\x1b]0;title\x07shown": "shown",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\": "link",
    "\x1b]52;c;cm0gLXJm\x07copied": "copied",
    "\x9b31mred": "red",
    "\x9d0;title\x9cshown": "shown",
    "\x90qdcs\x1b\\shown": "shown",
    "\x1b(Bcharset": "charset",
    "\x1bcreset": "reset",
    "\x1b_apc\x1b\\shown": "shown",
    "back\x08\x08space": "backspace",
    "over\rwritten": "overwritten",
    "bell\x07": "bell",
    "nul\x00\x7f\x85": "nul",
    "a\u202eb\u2066c": "abc",
    "\ud800lone": "lone",
    "line\r\nfeed\ttab": "line\nfeed\ttab",
    "naïve 中文 🙂 \u200d": "naïve 中文 🙂 \u200d",
    "\x1b[31": "",
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items())
def test_only_text_is_left(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items())
def test_it_makes_no_difference_where_the_text_is_split(text: str, shown: str) -> None:
    for at in range(len(text) + 1):
        cleaner = TextCleaner()
        assert cleaner.feed(text[:at]) + cleaner.feed(text[at:]) == shown
    cleaner = TextCleaner()
    assert "".join(map(cleaner.feed, text)) == shown


@pytest.mark.parametrize("opener", ["\x1b]0;", "\x1b[", "\x1bP", "\x9d"])
def test_what_never_ends_cannot_hide_an_answer(opener: str) -> None:
    assert clean(f"{opener}\nthe answer").strip() == "the answer"
    assert clean(f"{opener}{' ' * 300}the answer").strip() == "the answer"


def test_a_sequence_within_a_sequence_is_none_either() -> None:
    assert clean("\x1b\x1b[31mx") == "x"
    assert clean("\x1b[\x1b[31mx") == "x"


def test_a_line_is_one() -> None:
    assert clean_line(" a\nb\t\x1b[1mc ") == "a b c"
