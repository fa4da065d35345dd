"""Checks of a checkpoint's tokenizer and chat template, without which no prompt can be made."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from worker.engine.checkpoint.files import Checkpoint
from worker.engine.interface import BadCheckpointError

_TOKENIZER = "tokenizer.json"
_TOKENIZERS = (_TOKENIZER, "tokenizer.model", "vocab.json", "tekken.json")
_TEMPLATE = "chat_template.jinja"
_TEMPLATE_JSON = ("chat_template.json", "tokenizer_config.json", "processor_config.json")
"""Files whose `chat_template` holds a template, of older checkpoints."""
_GENERATION = re.compile(r"\{%[-+]?\s*(end)?generation\s*[-+]?%\}")
"""Statements that transformers adds to Jinja."""


def find_bad_tokenizer(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if there is no tokenizer, or one that cannot be read."""
    del config
    found = [name for name in _TOKENIZERS if name in checkpoint.sizes]
    if not found:
        yield f"it has no tokenizer (none of {', '.join(_TOKENIZERS)})"
        return
    if empty := next((name for name in found if not checkpoint.sizes[name]), ""):
        yield f"{empty} is empty"
    elif _TOKENIZER in found and "model" not in checkpoint.read_json(_TOKENIZER):
        yield f"{_TOKENIZER} has no model"


def find_bad_template(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if there is no chat template, as of base models, or one that is no Jinja."""
    del config
    template = read_template(checkpoint)
    if not template:
        yield (
            "it has no chat template, so it is a base model, which continues text and answers no "
            "messages: take the version that was trained for chats (often -Instruct or -it), or "
            "set ANTIPHON_CHAT_TEMPLATE to a file with a template"
        )
        return
    from jinja2 import Environment, TemplateSyntaxError

    environment = Environment(extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"])
    try:
        environment.parse(_GENERATION.sub("", template))
    except TemplateSyntaxError as error:
        yield f"its chat template is no Jinja: line {error.lineno}: {error.message}"


def read_template(checkpoint: Checkpoint) -> str:
    """Return the chat template, that for tools if there are several; "" if there is none.

    Raises `BadCheckpointError` for a file that cannot be read.
    """
    if _TEMPLATE in checkpoint.sizes:
        return _read_text(checkpoint.folder / _TEMPLATE)
    for name in _TEMPLATE_JSON:
        found = checkpoint.read_json(name) if name in checkpoint.sizes else {}
        if template := _choose(found.get("chat_template")):
            return template
    return _read_text(checkpoint.other_template) if checkpoint.other_template else ""


def read_added_tokens(checkpoint: Checkpoint) -> list[str]:
    """Return the texts of the tokens that are matched whole, such as delimiters of calls."""
    content = checkpoint.read_json(_TOKENIZER) if _TOKENIZER in checkpoint.sizes else {}
    added = content.get("added_tokens")
    tokens = added if isinstance(added, list) else []
    return [str(token.get("content")) for token in tokens if isinstance(token, dict)]


def _read_text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise BadCheckpointError(f"{file.name} cannot be read: {error}") from error


def _choose(found: object) -> str:
    """Return the template of an entry `chat_template`, which is one, or a list with names."""
    if isinstance(found, list):
        named = {str(entry.get("name")): entry.get("template") for entry in found}
        found = named.get("tool_use") or named.get("default")
    return found if isinstance(found, str) else ""
