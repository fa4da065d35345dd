"""Control tokens come from templates alone: wherever content stands and whatever it spells."""

# Full-width characters are meant.
# ruff: noqa: RUF001

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.chat.chat_template import _plain
from models.chat.messages import is_native, to_messages
from models.chat.prompt import Prompt
from models.chat.template_encoder import TemplateEncoder
from models.profile.thinking import ThinkingStyle
from tests.chat_styles.styles import STYLES

NUM_TEXTS = 33
_PARTS = (
    *("<", ">", "|", "[", "]", "</", "{", '"', "\\", " ", "\n", "user", "assistant", "think"),
    *("tool_call", "im_start", "im_end|>", "<|im", "▁", "＜｜im_end｜＞", "\u200b", "<|IM_END|>"),
    *("[INST", "INST]", "<start_of", "_turn>", "\\u003c|im_end|\\u003e", "function=", "&lt;"),
)
_WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="<>[]|｜▁"),
    min_size=1,
).filter(lambda text: bool(text.strip()))


def prompt_of(texts: Sequence[str]) -> Prompt:
    """Return a prompt that has these texts in every place that content can stand in."""
    text = iter(texts)
    instructions = next(text)
    schema = {
        "type": "object",
        "description": next(text),
        "properties": {
            next(text): {"type": "string", "description": next(text), "enum": [next(text)]},
            "nested": {"type": "object", "properties": {next(text): {"type": ["string", "null"]}}},
            "other": {"type": "string", "default": next(text), next(text): next(text)},
        },
        "required": [next(text)],
    }
    function = {"name": next(text), "description": next(text), "parameters": schema}
    arguments = json.dumps({next(text): next(text), "list": [{next(text): next(text)}]})
    hit = {"url": next(text), "title": next(text), "text": next(text)}
    items: list[dict[str, Any]] = [
        _message("user", next(text)),
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": next(text)}]},
        _message("assistant", next(text)),
        _message("user", [_part(next(text)), _part(next(text))]),
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": next(text)}]},
        {"type": "function_call", "call_id": "c1", "name": next(text), "arguments": arguments},
        {"type": "function_call_output", "call_id": "c1", "output": next(text)},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": next(text)},
        {"type": "function_call_output", "call_id": "c2", "output": [_part(next(text))]},
        _message("assistant", next(text)),
        _message("user", next(text)),
        {"type": "web_search_call", "action": {"query": next(text)}, "results": [hit]},
        _message("assistant", next(text)),
    ]
    assert next(text, None) is None
    return Prompt(
        instructions=instructions, items=items, tools=[{"type": "function", "function": function}]
    )


def _message(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _part(text: str) -> dict[str, str]:
    return {"type": "input_text", "text": text}


@cache
def encoder_of(style: str) -> TemplateEncoder:
    return STYLES[style].write(Path(mkdtemp()))


def control_ids(style: str, token_ids: Sequence[int]) -> list[int]:
    """Return the control tokens among the tokens of a prompt."""
    tokenizer = encoder_of(style).tokenizer
    known = {tokenizer.convert_tokens_to_ids(token.content) for token in STYLES[style].control}
    assert len(known) == len(STYLES[style].control)
    return [token_id for token_id in token_ids if token_id in known]


def ids_of_library(style: str, prompt: Prompt) -> list[int]:
    """Return the tokens that the transformers library makes of a prompt."""
    encoder = encoder_of(style)
    tokenizer = encoder.tokenizer
    thinking = ThinkingStyle(tokenizer.chat_template, tokenizer.get_added_vocab())
    text = tokenizer.apply_chat_template(
        [_plain(message) for message in to_messages(prompt, encoder.profile, thinking)],
        tools=list(prompt.tools) if is_native(prompt, encoder.profile) else None,
        tokenize=False,
        add_generation_prompt=True,
    )
    return list(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)


def forgeries(style: str) -> st.SearchStrategy[str]:
    """Return texts of control tokens, their halves, and what templates put around content."""
    spellings = [token.content for token in STYLES[style].control]
    halves = [half for text in spellings for half in (text[: len(text) // 2], text[1:-1], text[1:])]
    parts = st.sampled_from([*spellings, *halves, *_PARTS])
    texts = st.lists(parts, min_size=1, max_size=6).map("".join)
    return texts.filter(lambda text: bool(text.strip()))


@pytest.mark.parametrize("style", STYLES)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_no_control_token_comes_from_content(style: str, data: st.DataObject) -> None:
    texts = data.draw(st.lists(forgeries(style), min_size=NUM_TEXTS, max_size=NUM_TEXTS))
    # Templates may compare contents, so texts that are equal have words that are equal.
    harmless = [f"word {texts.index(text)}" for text in texts]

    token_ids = encoder_of(style).encode(prompt_of(texts))

    expected = control_ids(style, encoder_of(style).encode(prompt_of(harmless)))
    assert control_ids(style, token_ids) == expected
    assert expected


@pytest.mark.parametrize("style", STYLES)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_ordinary_content_has_the_tokens_that_it_had(style: str, data: st.DataObject) -> None:
    words = st.one_of(
        _WORDS, st.sampled_from(["a\n\n\nb", "  a", *STYLES[style].ordinary[2:], "a"])
    )
    texts = data.draw(st.lists(words, min_size=NUM_TEXTS, max_size=NUM_TEXTS))
    prompt = prompt_of(texts)

    assert encoder_of(style).encode(prompt) == ids_of_library(style, prompt)
