"""Questions about pictures, asked through the API, and what transformers itself answers."""

from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from PIL.Image import Image

from models.chat.template_encoder import TemplateEncoder
from models.profile.weights import Weights
from tests.integration.api.requests import parsed
from tests.pictures import picture_url
from tests.unit.worker.engine.vision_oracle import NUM_TOKENS, Vision

FIRST, SECOND, THIRD = (1, 60, 40), (2, 24, 64), (3, 40, 40)
"""Pictures, each by a seed, its width and its height."""


def user(*parts: str | tuple[int, int, int]) -> dict[str, Any]:
    """Return a message of texts and pictures."""
    content = [
        {"type": "input_text", "text": part}
        if isinstance(part, str)
        else {"type": "input_image", "image_url": picture_url(*part)}
        for part in parts
    ]
    return {"type": "message", "role": "user", "content": content}


ASKED: dict[str, Any] = {
    "temperature": 0,
    "ignore_eos": True,
    "max_output_tokens": NUM_TOKENS,
    "include": ["message.output_text.logprobs"],
}


def ask(http: FlaskClient, message: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = http.post("/v1/responses", json={"input": [message], **ASKED, **fields})
    assert answer.status_code == 200, answer.json
    return parsed(answer)


def answer_part(response: dict[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = response["output"][0]["content"][0]
    return part


def expected_bytes(folder: Path, token_ids: list[int]) -> list[list[int]]:
    encoder = TemplateEncoder(Weights(model_id="tiny", source="folder", folder=folder))
    texts, special = encoder.token_texts(), set(encoder.tokenizer.all_special_ids)
    while token_ids[-1] in special:
        token_ids = token_ids[:-1]  # shows no text, and so has no log-probability at the end
    return [list(texts[token_id]) for token_id in token_ids]


def check(response: dict[str, Any], vision: Vision, text: str, *pictures: Image) -> None:
    """Check that an answer is that of transformers to a prompt."""
    found = [entry["bytes"] for entry in answer_part(response)["logprobs"]]
    assert found == expected_bytes(vision.folder, vision.generate(text, *pictures))
