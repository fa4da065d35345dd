"""Reasoning items: what a model thought, sealed for its client, and on its way back to a model."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from models.encryption.cipher import ContentCipher
from models.encryption.summary import summarise
from models.events.reasoning_extras import ReasoningExtras
from models.responses.record import ResponseRecord

_CALLS = ("function_call", "web_search_call")

ENCRYPTED_CONTENT = "reasoning.encrypted_content"
"""The value of `include` that has thoughts sealed."""

PURPOSE = "reasoning"
"""What a thought is sealed for."""


def reasoning_extras_of(stored: ResponseRecord, cipher: ContentCipher | None) -> ReasoningExtras:
    """What its request wants of each thought beside its text."""
    parameters = stored.parameters
    length = (parameters.get("reasoning") or {}).get("summary")
    is_sealed = cipher is not None and ENCRYPTED_CONTENT in parameters.get("include", ())
    return ReasoningExtras(
        summarise=partial(summarise, length=length) if length else None,
        encrypt=partial(encrypt_reasoning, cipher, stored.project_id)
        if is_sealed and cipher
        else None,
    )


def encrypt_reasoning(cipher: ContentCipher, project_id: str, thought: str) -> str:
    """A thought as `encrypted_content`."""
    return cipher.encrypt(project_id, PURPOSE, {"thought": thought})


def encrypt_items(
    cipher: ContentCipher, project_id: str, items: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Items, those of reasoning with their thought sealed as well."""
    return [
        item | {"encrypted_content": encrypt_reasoning(cipher, project_id, _thought(item))}
        if item["type"] == "reasoning"
        else item
        for item in items
    ]


def decrypt_reasoning(
    cipher: ContentCipher, project_id: str, item: dict[str, Any]
) -> dict[str, Any]:
    """The item with its thought in the open; a sealed one counts before what else it says.

    Raises `DecryptionError` if it was not sealed here for this project.
    """
    sealed = item.get("encrypted_content")
    if sealed is None:
        return item
    thought = cipher.decrypt(project_id, PURPOSE, sealed)["thought"]
    opened = {key: value for key, value in item.items() if key != "encrypted_content"}
    return opened | {"content": [{"type": "reasoning_text", "text": thought}]}


def attach_reasoning(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items without those of reasoning: what the assistant said next has the thought before it.

    Under the key `thought`. A thought that nothing follows is a message without text.
    """
    attached: list[dict[str, Any]] = []
    thoughts: list[str] = []
    for item in items:
        if item.get("type") == "reasoning":
            thoughts.append(_thought(item))
            continue
        if thoughts and not _is_said_by_assistant(item):
            attached.append(_silent(thoughts))
            thoughts = []
        attached.append(item | {"thought": "\n\n".join(thoughts)} if thoughts else item)
        thoughts = []
    return [*attached, _silent(thoughts)] if thoughts else attached


def _thought(item: dict[str, Any]) -> str:
    """The thought itself, or in its place the summary."""
    return "".join(part["text"] for part in item.get("content") or item.get("summary") or ())


def _is_said_by_assistant(item: dict[str, Any]) -> bool:
    return item.get("role") == "assistant" or item.get("type") in _CALLS


def _silent(thoughts: list[str]) -> dict[str, Any]:
    thought = "\n\n".join(thoughts)
    return {"type": "message", "role": "assistant", "content": "", "thought": thought}
