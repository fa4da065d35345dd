"""Earlier reasoning given back to a model: decrypted, and put before what followed it."""

from typing import Any

import pytest

from models.encryption.cipher import ContentCipher, DecryptionError, new_encryption_key
from models.encryption.items import decrypt_items
from models.encryption.reasoning import attach_reasoning, encrypt_reasoning

KEY = new_encryption_key()
CIPHER = ContentCipher(lambda _: KEY)
USER = {"type": "message", "role": "user", "content": "a"}
ANSWER = {"type": "message", "role": "assistant", "content": "b"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


def reasoning(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "reasoning", "content": [{"type": "reasoning_text", "text": text}], **more}


def test_encrypted_text_counts_before_plain_text() -> None:
    encrypted = encrypt_reasoning(CIPHER, "ours", "sealed")
    item = reasoning("open", id="rs_1", encrypted_content=encrypted)

    assert decrypt_items(CIPHER, "ours", [USER, item]) == [USER, reasoning("sealed", id="rs_1")]


def test_reasoning_in_plain_text_stays_as_it_is() -> None:
    assert decrypt_items(CIPHER, "ours", [reasoning("open")]) == [reasoning("open")]


def test_reasoning_is_no_summary_of_a_conversation() -> None:
    encrypted = encrypt_reasoning(CIPHER, "ours", "t")

    with pytest.raises(DecryptionError):
        decrypt_items(CIPHER, "ours", [{"type": "compaction", "encrypted_content": encrypted}])


@pytest.mark.parametrize("said", [ANSWER, CALL])
def test_reasoning_goes_before_what_the_assistant_said_next(said: dict[str, Any]) -> None:
    assert attach_reasoning([USER, reasoning("t"), said, USER]) == [
        USER,
        said | {"thought": "t"},
        USER,
    ]


def test_several_reasoning_items_go_together_and_a_summary_stands_for_what_is_not_there() -> None:
    summary = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]}

    assert attach_reasoning([reasoning("t"), summary, ANSWER]) == [ANSWER | {"thought": "t\n\ns"}]


def test_reasoning_that_nothing_follows_is_a_message_of_its_own() -> None:
    silent = {"type": "message", "role": "assistant", "content": "", "thought": "t"}

    assert attach_reasoning([reasoning("t"), USER, reasoning("t")]) == [silent, USER, silent]
