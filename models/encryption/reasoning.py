"""Reasoning items: encryption for the client, decryption and placement in the next prompt."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from models.encryption.cipher import ContentCipher
from models.encryption.summary import summarise
from models.events.reasoning_extras import ReasoningExtras
from models.responses.record import ResponseRecord
from models.tools.hosted_items import HOSTED_CALLS

_CALLS = (
    *("function_call", "custom_tool_call", "tool_search_call", "web_search_call"),
    *HOSTED_CALLS,
)

ENCRYPTED_CONTENT = "reasoning.encrypted_content"
"""Value of `include` that requests encrypted reasoning."""

PURPOSE = "reasoning"
"""Purpose that the cipher authenticates with reasoning."""


def reasoning_extras_of(record: ResponseRecord, cipher: ContentCipher | None) -> ReasoningExtras:
    """Return the functions that add the summary and `encrypted_content` the request asks for."""
    parameters = record.parameters
    length = (parameters.get("reasoning") or {}).get("summary")
    is_encrypted = cipher is not None and ENCRYPTED_CONTENT in parameters.get("include", ())
    return ReasoningExtras(
        summarise=partial(summarise, length=length) if length else None,
        encrypt=partial(encrypt_reasoning, cipher, record.project_id)
        if is_encrypted and cipher
        else None,
    )


def encrypt_reasoning(cipher: ContentCipher, project_id: str, reasoning: str) -> str:
    """Return the text of a reasoning item as `encrypted_content`."""
    return cipher.encrypt(project_id, PURPOSE, {"thought": reasoning})


def encrypt_items(
    cipher: ContentCipher, project_id: str, items: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the items, with `encrypted_content` added to the reasoning items."""
    return [
        item | {"encrypted_content": encrypt_reasoning(cipher, project_id, _text(item))}
        if item["type"] == "reasoning"
        else item
        for item in items
    ]


def decrypt_reasoning(
    cipher: ContentCipher, project_id: str, item: dict[str, Any]
) -> dict[str, Any]:
    """Return the item with `encrypted_content` replaced by its text, in place of any `content`.

    Raises `DecryptionError` if the item was not encrypted here for this project.
    """
    encrypted = item.get("encrypted_content")
    if encrypted is None:
        return item
    reasoning = cipher.decrypt(project_id, PURPOSE, encrypted)["thought"]
    others = {key: value for key, value in item.items() if key != "encrypted_content"}
    return others | {"content": [{"type": "reasoning_text", "text": reasoning}]}


def attach_reasoning(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Move the text of reasoning items into the assistant's next item, under the key `thought`.

    Reasoning that no item of the assistant follows becomes a message without text.
    """
    attached: list[dict[str, Any]] = []
    texts: list[str] = []
    for item in items:
        if item.get("type") == "reasoning":
            texts.append(_text(item))
            continue
        if texts and not _is_from_assistant(item):
            attached.append(_message_without_text(texts))
            texts = []
        attached.append(item | {"thought": "\n\n".join(texts)} if texts else item)
        texts = []
    return [*attached, _message_without_text(texts)] if texts else attached


def _text(item: dict[str, Any]) -> str:
    """Return the reasoning text, or the summary if the item has no text."""
    return "".join(part["text"] for part in item.get("content") or item.get("summary") or ())


def _is_from_assistant(item: dict[str, Any]) -> bool:
    return item.get("role") == "assistant" or item.get("type") in _CALLS


def _message_without_text(reasoning_texts: list[str]) -> dict[str, Any]:
    reasoning = "\n\n".join(reasoning_texts)
    return {"type": "message", "role": "assistant", "content": "", "thought": reasoning}
