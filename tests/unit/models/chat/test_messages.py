"""Functions, calls and outputs in prompts: through the chat template, or described in text."""

# The full-width characters are those of the tokens.
# ruff: noqa: RUF001

from pathlib import Path
from typing import Any

import orjson
import pytest

from models.chat.render import encode_prompt
from models.chat.template_encoder import TemplateEncoder
from models.grammars.calls.tool_calls import calls_grammar
from models.profile.formats.table import CALL_FORMATS, GENERIC
from models.profile.profile import profile_of, read_profile
from models.schemas.request.parameters import GenerationParameters
from models.settings import DEFAULT_MODEL, SettingsError
from tests.unit.models.chat.test_template_encoder import make_encoder, message

PLAIN = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}"
NATIVE = (
    "{% if tools %}{{ tools | tojson }}{% endif %}"
    "{% for m in messages %}[{{ m.role }}:{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name }}"
    "{{ c.function.arguments | tojson }}</tool_call>{% endfor %}]{% endfor %}"
)
TOOL = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}
OTHER_CALL = CALL | {"call_id": "d"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "7"}
OTHER_OUTPUT = OUTPUT | {"call_id": "d", "output": [{"type": "input_text", "text": "8"}]}
TURN = [
    message("user", "u"),
    message("assistant", "a"),
    CALL,
    OTHER_CALL,
    OUTPUT,
    OTHER_OUTPUT,
]


def render(encoder: TemplateEncoder, items: list[dict[str, Any]], **fields: Any) -> str:
    parameters = GenerationParameters.model_validate(fields)
    tokens = encode_prompt(encoder, parameters, items).token_ids
    return str(encoder.tokenizer.backend_tokenizer.decode(tokens, skip_special_tokens=False))


def test_a_template_that_takes_tools_is_given_them(tmp_path: Path) -> None:
    encoder = make_encoder(tmp_path, NATIVE)

    text = render(encoder, TURN, tools=[TOOL])

    tools, _, messages = text.partition("[user")
    [tool] = orjson.loads(tools)
    function = {key: value for key, value in TOOL.items() if key != "type"}
    assert tool == {"type": "function", "function": function}
    call = '<tool_call>f{"a": 1}</tool_call>'
    assert messages == f":u][assistant:a{call}{call}][tool:7][tool:8]"


def test_a_template_that_shows_names_is_given_them(tmp_path: Path) -> None:
    encoder = make_encoder(
        tmp_path, "{% for m in messages %}[{{ m.name or m.role }}:{{ m.content }}]{% endfor %}"
    )

    text = render(encoder, [message("user", "u") | {"name": "ann"}, message("user", "v")])

    assert text == "[ann:u][user:v]"


def test_one_that_takes_none_is_told_in_words(tmp_path: Path) -> None:
    encoder = make_encoder(tmp_path, PLAIN)

    text = render(encoder, TURN, tools=[TOOL], instructions="i")

    system, _, messages = text.partition("]")
    assert system.startswith("[system:i\n\nYou may call functions")
    assert '"name":"f"' in system
    call = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    responses = "\n".join(f"<tool_response>\n{n}\n</tool_response>" for n in (7, 8))
    assert messages == f"[user:u][assistant:a\n{call}\n{call}][user:{responses}]"


@pytest.mark.parametrize("template", [PLAIN, NATIVE])
def test_tools_that_must_not_be_called_are_not_told_of(tmp_path: Path, template: str) -> None:
    encoder = make_encoder(tmp_path, template)

    items = [message("user", "u")]
    assert render(encoder, items, tools=[TOOL], tool_choice="none") == "[user:u]"


def test_beside_a_search_of_the_web_all_is_in_words(tmp_path: Path) -> None:
    encoder = make_encoder(tmp_path, NATIVE)

    text = render(encoder, TURN, tools=[TOOL, {"type": "web_search"}])

    assert text.startswith("[system:You may call functions")
    assert "web_search" in text
    assert "[tool:" not in text


def test_arguments_that_are_no_json_are_shown_as_they_are(tmp_path: Path) -> None:
    text = render(make_encoder(tmp_path, PLAIN), [CALL | {"arguments": '{"a'}])

    assert '"arguments": "{\\"a"' in text


@pytest.mark.parametrize(
    ("template", "style", "takes_tools"),
    [
        ("{{ messages }}", "hermes", False),
        ("{% if tools %}<tool_call>", "hermes", True),
        ("{% if tools %}[TOOL_CALLS]", "mistral", True),
        ("{% if tools %}<|python_tag|>", "llama", True),
        ("{% if tools %}<tool_call><function=", "qwen_coder", True),
        ("{% if tools %}[TOOL_CALLS]name[ARGS]", "mistral_args", True),
        ("<tool_call><function=", "hermes", False),
    ],
)
def test_a_profile_is_read_off_the_template(template: str, style: str, takes_tools: bool) -> None:
    profile = profile_of(template)

    assert (profile.call_style, profile.takes_tools) == (style, takes_tools)
    assert profile.call_margin == 0


def test_the_file_counts_before_the_template_and_the_setting_before_both(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text('{"call_style": "llama", "call_margin": 2.0}')

    assert read_profile(tmp_path, "m", "").call_style == "llama"
    assert read_profile(tmp_path, "m", "").call_margin == 2
    assert read_profile(tmp_path, "m", "", 1.0).call_margin == 1


@pytest.mark.parametrize(
    "text", ["{", '{"colour": 1}', '{"call_margin": -1}', '{"call_style": "morse"}']
)
def test_a_file_that_is_no_profile_stops_the_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "profile.json").write_text(text)

    with pytest.raises(SettingsError, match=r"profile\.json"):
        read_profile(tmp_path, "m", "")


def test_mistral_takes_short_ids(tmp_path: Path) -> None:
    template = (
        "{% if tools %}[TOOL_CALLS]{% endif %}{% for m in messages %}"
        "{{ m.tool_call_id }}{% for c in m.tool_calls or [] %}{{ c.id }}={% endfor %}{% endfor %}"
    )

    ids = render(make_encoder(tmp_path, template), [CALL, OUTPUT]).split("=")

    assert len(set(ids)) == 1
    assert len(ids[0]) == 9


def test_kimi_reads_names_in_ids_and_deepseek_takes_arguments_as_text(tmp_path: Path) -> None:
    kimi = "{% if tools %}<|tool_call_begin|>{% endif %}{% for m in messages %}"
    kimi += (
        "{{ m.tool_call_id }}{% for c in m.tool_calls or [] %}{{ c.id }}={% endfor %}{% endfor %}"
    )
    deepseek = "{% if tools %}<｜tool▁calls▁begin｜>{% endif %}{% for m in messages %}"
    deepseek += "{% for c in m.tool_calls or [] %}{{ '+' + c.function.arguments }}{% endfor %}"
    deepseek += "{% endfor %}"

    ids = render(make_encoder(tmp_path / "kimi", kimi), [CALL, OUTPUT])
    arguments = render(make_encoder(tmp_path / "deepseek", deepseek), [CALL, OUTPUT])

    assert ids.endswith("functions.f:0=functions.f:0")
    assert arguments.endswith('+{"a":1}')


def test_a_format_is_read_where_the_template_describes_no_tools() -> None:
    profile = profile_of("{{ '<｜tool▁calls▁begin｜>' + message.tool_calls }}")

    assert (profile.call_style, profile.takes_tools) == ("hermes", False)
    assert CALL_FORMATS["deepseek_v31"] in profile.call_format.also
    assert profile.call_format.opener == GENERIC.opener


def test_a_format_is_read_of_which_the_tokenizer_alone_knows() -> None:
    profile = profile_of("{{ tools }}", vocabulary=["<|tool|>", "<|tool_call|>"])

    assert (profile.call_style, profile.takes_tools) == ("hermes", False)
    assert CALL_FORMATS["phi"] in profile.call_format.also


def test_the_profile_of_small_weights_bounds_their_calls(tmp_path: Path) -> None:
    encoder = make_encoder(tmp_path, PLAIN)
    parameters = GenerationParameters.model_validate({"tools": [TOOL]})
    unbounded = calls_grammar(parameters, encoder)

    encoder.profile = profile_of(PLAIN, DEFAULT_MODEL)

    assert "{0,127}" in unbounded
    assert "{0," not in calls_grammar(parameters, encoder)
