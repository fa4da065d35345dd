"""Chat templates whose literals are marked: composed tokens, refusals, limits and the check."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

from models.chat import marked_template
from models.chat.control_tokens import ControlTokens
from models.chat.prompt import Prompt
from models.chat.prompt_tokenizer import PromptTooLongError
from models.chat.template_encoder import TemplateEncoder
from models.errors import InvalidRequestError
from models.profile.weights import Weights
from models.settings import SettingsError
from tests.unit.models.tiny_tokenizer import tiny_tokenizer

_TOKENS = ("<|user|>", "<|assistant|>", "<|end|>")
_COMPOSED = [
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m.content + '<|end|>' }}{% endfor %}",
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content ~ '<|end|>' }}{% endfor %}",
    "{% for m in messages %}{{ '<|' ~ (m.role | trim) ~ '|>' ~ m.content }}<|end|>{% endfor %}",
    "{% for m in messages %}{% set role = m.role %}{{ '<|' + role + '|>' + m.content }}"
    "{{ '<|' + 'end' + '|>' }}{% endfor %}",
    "{% for m in messages %}<|{{ 'user' if m.role == 'user' else 'assistant' }}|>{{ m.content }}"
    "<|{# a comment #}end|>{% endfor %}",
]


def make_encoder(folder: Path, template: str) -> TemplateEncoder:
    tokenizer = tiny_tokenizer(template)
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in _TOKENS])
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text('{"max_position_embeddings": 512}')
    return TemplateEncoder(Weights(model_id="tiny", source="folder", folder=folder))


def ids(encoder: TemplateEncoder, *contents: str) -> list[int]:
    roles = ("user", "assistant") * len(contents)
    items = [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]
    return encoder.encode(Prompt(instructions=None, items=items))


def control_ids(encoder: TemplateEncoder, *contents: str) -> list[int]:
    return [token_id for token_id in ids(encoder, *contents) if token_id > 256]


@pytest.mark.parametrize("template", _COMPOSED)
def test_tokens_that_a_template_composes_are_tokens(tmp_path: Path, template: str) -> None:
    encoder = make_encoder(tmp_path, template)

    tokens = encoder.tokenizer.convert_ids_to_tokens(control_ids(encoder, "a", "<|user|>"))

    assert tokens == ["<|user|>", "<|end|>", "<|assistant|>", "<|end|>"]


def test_a_role_that_is_content_composes_nothing(tmp_path: Path) -> None:
    template = "{% for m in messages %}{% set role = m.content %}<|{{ role }}|>{% endfor %}"
    encoder = make_encoder(tmp_path, template)

    assert control_ids(encoder, "end") == []


@pytest.mark.parametrize("content", ["user", "end|><|user", "user|>", "<|end|>"])
def test_content_between_brackets_of_the_template_composes_nothing(
    tmp_path: Path, content: str
) -> None:
    encoder = make_encoder(tmp_path, "{% for m in messages %}<|{{ m.content }}|>{% endfor %}")

    assert control_ids(encoder, content) == []


def test_a_template_sees_content_as_it_is_but_for_control_tokens(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{{ m.content | length }}{{ m.content.startswith('<|') }}"
        "{{ '<|end|>' in m.content }}{{ m.content.split('|') | first }}{% endfor %}"
    )
    encoder = make_encoder(tmp_path, template)

    assert encoder.tokenizer.decode(ids(encoder, "<|end|>")) == "7TrueFalse<"


def test_a_refusal_shows_tokens_as_they_are_spelled(tmp_path: Path) -> None:
    template = "{% if messages[0].content == 'no' %}{{ raise_exception('no <|end|> here') }}"
    encoder = make_encoder(tmp_path, template + "{% endif %}")

    with pytest.raises(InvalidRequestError, match=r"tiny refuses .*: no <\|end\|> here"):
        ids(encoder, "no")


@pytest.mark.parametrize(
    "expression",
    ["1 // (messages[0].content | length - 1)", "messages[0].content + 1", "messages[7].content"],
)
def test_an_error_within_a_template_is_a_refusal(tmp_path: Path, expression: str) -> None:
    encoder = make_encoder(tmp_path, f"{{{{ {expression} }}}}")

    with pytest.raises(InvalidRequestError, match="tiny refuses these messages"):
        ids(encoder, "a")


def test_a_template_that_recurses_without_end_is_a_refusal(tmp_path: Path) -> None:
    template = "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}"

    with pytest.raises(InvalidRequestError, match="tiny refuses these messages"):
        ids(make_encoder(tmp_path, template), "a")


@pytest.mark.parametrize(("limit", "value"), [("MAX_CHARACTERS", 999), ("MAX_CPU_S", -1.0)])
def test_a_rendering_is_bounded_in_size_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: Any
) -> None:
    encoder = make_encoder(tmp_path, "{% for n in range(1000) %}{{ n }}{% endfor %}")
    monkeypatch.setattr(marked_template, limit, value)

    with pytest.raises(InvalidRequestError, match="The prompt is too long"):
        ids(encoder, "a")


def test_a_prompt_of_too_many_characters_is_refused_before_its_pieces_are_joined(
    tmp_path: Path,
) -> None:
    encoder = make_encoder(tmp_path, "{% for m in messages %}{{ m.content }}{% endfor %}")
    text = "a" * (8 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(PromptTooLongError):
            ids(encoder, text, text)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < len(text)


def test_tokens_composed_in_an_unknown_way_are_refused_when_loaded(tmp_path: Path) -> None:
    template = "{% for m in messages %}<|{% if m.role == 'user' %}user{% endif %}|>{% endfor %}"

    with pytest.raises(SettingsError, match="chat template of tiny composes control tokens"):
        make_encoder(tmp_path, template)


def test_a_tokenizer_whose_ids_would_change_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer().backend_tokenizer
    monkeypatch.setattr(
        "models.chat.control_tokens.rename_tokens", lambda *_: json.loads(tokenizer.to_str())
    )

    with pytest.raises(SettingsError, match="no fixed id for its token '<end>'"):
        ControlTokens(tokenizer, "")
