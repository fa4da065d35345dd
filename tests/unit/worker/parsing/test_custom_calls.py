"""Calls of custom tools parsed while they are generated, at any chunk boundaries."""

import pytest

from models.profile.formats.table import GENERIC
from worker.parsing.segments import Kind
from worker.parsing.tool_calls import ToolCallParser

INPUTS = {"patch": "", "note": "\n</tool_call>"}
PATCH = '<tool_call>\n{"name": "patch"}\n+a\n</tool_call>\n{"b"'
NOTE = '<tool_call>\n{"name": "note"}\n1 < 2\n</tool_call>'
F = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
_PATCH = [(Kind.CALL_BEGIN, "patch"), (Kind.ARGUMENTS, '+a\n</tool_call>\n{"b"')]
_NOTE = [(Kind.CALL_BEGIN, "note"), (Kind.ARGUMENTS, "1 < 2"), (Kind.CALL_END, "")]
_F = [(Kind.CALL_BEGIN, "f"), (Kind.ARGUMENTS, "{}"), (Kind.CALL_END, "")]


def split(*texts: str) -> list[tuple[Kind, str]]:
    """Return the segments without white space between them, adjacent ones of a kind joined."""
    parser = ToolCallParser(GENERIC, {"f"}, INPUTS)
    segments = [segment for text in texts for segment in parser.add(text)] + parser.flush()
    assert "".join(segment.text for segment in segments) == "".join(texts)
    joined: list[tuple[Kind, str]] = []
    for segment in segments:
        is_shown = segment.kind in (Kind.ANSWER, Kind.ARGUMENTS, Kind.CALL)
        text = segment.text if is_shown else segment.name
        if joined and joined[-1][0] is segment.kind and is_shown:
            text = joined.pop()[1] + text
        if segment.kind is not Kind.SPACE:
            joined.append((segment.kind, text))
    return joined


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        (PATCH, _PATCH),
        (NOTE, _NOTE),
        (f"Well.\n{PATCH}", [(Kind.ANSWER, "Well.\n"), *_PATCH]),
        (f"{F}\n{NOTE}\n{F}\n{PATCH}", [*_F, *_NOTE, *_F, *_PATCH]),
        (NOTE.replace('"note"', '"other"'), [(Kind.CALL, NOTE.replace('"note"', '"other"'))]),
        (NOTE[:20], []),
        (NOTE.replace('{"name": "note"}', '{ "name" :"note" } '), _NOTE),
        (
            '<tool_call>\n{"name": "note", "arguments": {}}\n</tool_call>',
            [(Kind.CALL, '<tool_call>\n{"name": "note", "arguments": {}}\n</tool_call>')],
        ),
        ('<tool_call>\n{"name": "patch"}\n', [(Kind.CALL_BEGIN, "patch")]),
    ],
)
def test_they_are_found_at_any_chunk_boundaries(
    text: str, segments: list[tuple[Kind, str]]
) -> None:
    assert split(text) == segments
    assert split(*text) == segments
    for cut in range(len(text)):
        assert split(text[:cut], text[cut:]) == segments, cut
