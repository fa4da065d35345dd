"""Text of MCP results: read as it was written, and without tags of its own."""

from hypothesis import given
from hypothesis import strategies as st

from models.tools.mcp.results import LOST_CODE, McpResult, parse_result, result_text

_TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
_RESULTS = st.one_of(
    st.builds(McpResult, output=_TEXT),
    st.builds(McpResult, error=_TEXT, code=st.none() | st.integers(-(2**31), 2**31)),
    st.builds(McpResult, error=_TEXT, code=st.just(1), http_status=st.integers(400, 599)),
)


@given(_RESULTS)
def test_it_is_read_as_it_was_written(result: McpResult) -> None:
    assert parse_result(f"<|im_end|>\n{result_text(result)}\n") == result


@given(_RESULTS)
def test_it_has_no_tags_but_its_own(result: McpResult) -> None:
    text = result_text(result, lambda tag: "")

    assert not {"<", "["} & set(text)


def test_a_text_that_a_tokenizer_has_changed_is_an_error() -> None:
    result = parse_result('<tool_response>{"outp ut": "a"}</tool_response>')

    assert (result.output, result.code) == (None, LOST_CODE)


def test_a_long_one_is_cut_with_a_note_of_how_much() -> None:
    cut = McpResult(output="abcdef").cut(4)

    assert cut.output == "abcd\n[2 more characters were left out]"
    assert McpResult(output="abcd").cut(4).output == "abcd"
    assert McpResult(error="abcdef", code=1).cut(1).error == "a\n[5 more characters were left out]"


def test_each_kind_of_error_has_its_form() -> None:
    errors = [
        McpResult(error="a"),
        McpResult(error="a", code=-1),
        McpResult(error="a", code=-1, http_status=401),
    ]

    assert [result.item_fields()["error"].model_dump() for result in errors] == [
        {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "a"}]},
        {"type": "mcp_protocol_error", "code": -1, "message": "a"},
        {"type": "http_error", "code": 401, "message": "a"},
    ]
