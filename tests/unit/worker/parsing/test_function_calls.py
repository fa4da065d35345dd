"""Function calls parsed while they are generated, at any chunk boundaries."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.profile.formats.table import CALL_FORMATS
from worker.parsing.segments import Kind
from worker.parsing.tool_calls import ToolCallParser

ARGUMENTS = r'{"a": "}{\"\\", "b": {"c": [1]}}'
HERMES = f'<tool_call>\n{{"name": "f", "arguments": {ARGUMENTS}}}\n</tool_call>'
LLAMA = f'{{"name": "f", "parameters": {ARGUMENTS}}}'
MISTRAL = f'[TOOL_CALLS][{{"name": "f", "arguments": {ARGUMENTS}}}]'
CALL = [(Kind.CALL_BEGIN, "f"), (Kind.ARGUMENTS, ARGUMENTS), (Kind.CALL_END, "")]
_SCRAPS = st.sampled_from(
    ["<tool_call>", "</tool_call>", '{"name": "f", "arguments": ', "{", "}", '"', "\\", "a", "\n"]
)


def split(style: str, *texts: str) -> list[tuple[Kind, str]]:
    """Return the segments, adjacent ones of a kind joined; of a hidden call only the name."""
    splitter = ToolCallParser(CALL_FORMATS[style], {"f"})
    pieces = [piece for text in texts for piece in splitter.add(text)] + splitter.flush()
    assert "".join(piece.text for piece in pieces) == "".join(texts)
    joined: list[tuple[Kind, str]] = []
    for piece in pieces:
        is_shown = piece.kind in (Kind.ANSWER, Kind.ARGUMENTS, Kind.CALL)
        text = piece.text if is_shown else piece.name
        if joined and joined[-1][0] is piece.kind and is_shown:
            text = joined.pop()[1] + text
        if piece.kind is not Kind.SPACE:
            joined.append((piece.kind, text))
    return joined


@pytest.mark.parametrize(
    ("style", "text", "pieces"),
    [
        ("hermes", HERMES, CALL),
        ("hermes", f"Well.\n{HERMES}", [(Kind.ANSWER, "Well.\n"), *CALL]),
        ("hermes", f"\n\n{HERMES}\n{HERMES}\n", [*CALL, *CALL]),
        ("hermes", f"{HERMES}\nSo.", [*CALL, (Kind.ANSWER, "\nSo.")]),
        ("hermes", HERMES.replace("\n", "").replace(": ", ":"), None),
        ("hermes", HERMES.replace('"f"', '"g"'), [(Kind.CALL, HERMES.replace('"f"', '"g"'))]),
        ("hermes", HERMES.replace("}\n<", ', "id": "1"}\n<'), CALL),
        ("hermes", "1 < 2 <tool", [(Kind.ANSWER, "1 < 2 <tool")]),
        ("hermes", HERMES[:20], []),
        ("hermes", HERMES[:50], [CALL[0], (Kind.ARGUMENTS, HERMES[39:50])]),
        ("llama", LLAMA, CALL),
        ("llama", f"{LLAMA}; {LLAMA}", [*CALL, *CALL]),
        ("llama", f"So: {LLAMA}", [(Kind.ANSWER, f"So: {LLAMA}")]),
        ("llama", '{"answer": 1}', [(Kind.ANSWER, '{"answer": 1}')]),
        ("mistral", MISTRAL, CALL),
        ("mistral", f"Well. {MISTRAL}", [(Kind.ANSWER, "Well. "), *CALL]),
        (
            "mistral",
            f'{MISTRAL[:-1]}, {{"name": "f", "arguments": {{}}}}]',
            [*CALL, (Kind.CALL_BEGIN, "f"), (Kind.ARGUMENTS, "{}"), (Kind.CALL_END, "")],
        ),
    ],
)
def test_every_style_is_read_alike_wherever_it_is_cut(
    style: str, text: str, pieces: list[tuple[Kind, str]] | None
) -> None:
    whole = split(style, text)

    if pieces is not None:
        assert whole == pieces
    assert split(style, *text) == whole
    for cut in range(len(text)):
        assert split(style, text[:cut], text[cut:]) == whole


def test_arguments_come_as_they_are_written() -> None:
    splitter = ToolCallParser(CALL_FORMATS["hermes"], {"f"})
    splitter.add('<tool_call>{"name": "f", "arguments": ')

    pieces_of_arguments = [
        [piece.text for piece in splitter.add(text) if piece.kind is Kind.ARGUMENTS]
        for text in ('{"a', '": ', "1}")
    ]

    assert pieces_of_arguments == [['{"a'], ['": '], ["1}"]]


@given(st.lists(_SCRAPS, max_size=14), st.data())
def test_where_the_text_is_cut_makes_no_difference(scraps: list[str], data: st.DataObject) -> None:
    text = "".join(scraps)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    parts = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]

    assert split("hermes", *parts) == split("hermes", text)
