"""Arguments in notations that are not JSON: what they become, at every cut, and if malformed."""

import json
from typing import Any

import pytest

from models.profile.formats.call_format import (
    PYTHON,
    ArgumentNotation,
    LiteralArguments,
    TaggedArguments,
)
from worker.parsing.arguments.make_reader import make_reader
from worker.parsing.arguments.reader import ArgumentTypes

GEMMA = LiteralArguments(is_object=True, quote='<|"|>')
TAGS = TaggedArguments(before_name="<p=", after_name=">\n", closer="\n</p>")
TYPES = {
    "text": frozenset({"string"}),
    "number": frozenset({"integer"}),
    "real": frozenset({"number"}),
    "maybe": frozenset({"string", "null"}),
    "flag": frozenset({"boolean"}),
}


def read(notation: ArgumentNotation, *parts: str, types: ArgumentTypes = TYPES) -> tuple[str, str]:
    """Return the JSON that arguments become, and the text that is left."""
    reader, buffer, written = make_reader(notation, types), "", ""
    for part in parts:
        buffer += part
        while True:
            length, found, is_done = reader.read(buffer)
            buffer, written = buffer[length:], written + found
            if is_done:
                return written, buffer + "".join(parts[parts.index(part) + 1 :])
            if not length:
                break
    return written, buffer


def read_everywhere(notation: ArgumentNotation, text: str) -> str:
    whole = read(notation, text)
    for cut in range(len(text)):
        parts = (text[:cut], text[cut:])
        assert read(notation, *parts)[0] == whole[0], cut
    return whole[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (")", {}),
        ("a='b', c=\"d\")", {"a": "b", "c": "d"}),
        (r"a='it\'s', b=" + r'"\"\\\n\t")', {"a": "it's", "b": '"\\\n\t'}),
        (r"a='\x41\u00e9\U0001F600\d\0')", {"a": "A\u00e9\U0001f600\\d\0"}),
        (r"a='\ud83d\ude00')", {"a": "\U0001f600"}),
        ("a='''two\n'lines''', b=\"\"\"x\"y\"\"\")", {"a": "two\n'lines", "b": 'x"y'}),
        ("a='', b=\"\")", {"a": "", "b": ""}),
        (
            "a=True, b=False, c=None, d=true, e=null)",
            {"a": True, "b": False, "c": None, "d": True, "e": None},
        ),
        (
            "a=1, b=-2.5e3, c=1_000, d=0x1f, e=.5, f=1.)",
            {"a": 1, "b": -2500, "c": 1000, "d": 31, "e": 0.5, "f": 1},
        ),
        (
            "a=[1, [2], (3, 4), {}], b={'k': {'l': []}, \"m\": 1})",
            {"a": [1, [2], [3, 4], {}], "b": {"k": {"l": []}, "m": 1}},
        ),
        ("a = [ 1 , 2 , ] , b = 3 , )", {"a": [1, 2], "b": 3}),
        ("'Oslo', 7, flag=True)", {"text": "Oslo", "number": 7, "flag": True}),
        (
            "[1], 2, 3, 4, 5, 6)",
            {"text": [1], "number": 2, "real": 3, "maybe": 4, "flag": 5, "arg5": 6},
        ),
        ("a=b.c, d=inf, e=nan)", {"a": "b.c", "d": "inf", "e": "nan"}),
        ("a=, b=1)", {"a": "", "b": 1}),
        ("a=[1, 2)", {"a": [1, 2]}),
        ("a=1])", {"a": 1}),
        ("a='(', b=')')", {"a": "(", "b": ")"}),
        ("a={'k' 1})", {"a": {"k": 1}}),
    ],
)
def test_literals_of_python(text: str, expected: dict[str, Any]) -> None:
    assert json.loads(read_everywhere(PYTHON, text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", {}),
        ('{a:<|"|>b "c"\n\\d<|"|>,n:1}', {"a": 'b "c"\n\\d', "n": 1}),
        ('{a:{b:[<|"|>x<|"|>,true,null]},c:-1.5}', {"a": {"b": ["x", True, None]}, "c": -1.5}),
        ('{<|"|>a b<|"|>:1}', {"a b": 1}),
        ('{"a": "b\\n", "c": [1]}', {"a": "b\n", "c": [1]}),
        ("{a:plain text,b:2}", {"a": "plain text", "b": 2}),
    ],
)
def test_objects_of_gemma(text: str, expected: dict[str, Any]) -> None:
    assert json.loads(read_everywhere(GEMMA, text)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        ({"text": "12"}, {"text": "12"}),
        ({"text": ' a\n\n<b>\t"c" \\ '}, {"text": ' a\n\n<b>\t"c" \\ '}),
        ({"text": ""}, {"text": ""}),
        ({"number": "12", "real": "12"}, {"number": 12, "real": 12}),
        ({"number": "twelve"}, {"number": "twelve"}),
        ({"maybe": "null"}, {"maybe": None}),
        ({"maybe": "12"}, {"maybe": "12"}),
        ({"maybe": '"12"'}, {"maybe": '"12"'}),
        ({"flag": "True"}, {"flag": True}),
        ({"other": '{"a": [1]}'}, {"other": {"a": [1]}}),
        ({"other": "as it is"}, {"other": "as it is"}),
    ],
)
def test_values_between_tags(values: dict[str, str], expected: dict[str, Any]) -> None:
    text = "".join(f"<p={name}>\n{value}\n</p>\n" for name, value in values.items())

    assert json.loads(read_everywhere(TAGS, f"{text}</f>")) == expected


def test_without_line_breaks_values_are_the_same() -> None:
    assert json.loads(read_everywhere(TAGS, "<p=text>a</p><p=number>1</p></f>")) == {
        "text": "a",
        "number": 1,
    }


@pytest.mark.parametrize("text", ["<q=a>\nb", "<p=>\nb", f"<p={'x' * 2000}>\nb", "b"])
def test_what_is_no_argument_ends_them(text: str) -> None:
    assert read(TAGS, f"<p=number>\n1\n</p>\n{text}")[0] == '{"number": 1}'
