"""A warm-up on a real engine: the next turn finds its prompt in the prefix cache."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.settings import Settings
from tests.integration.api.websocket.frames import PromptClient, read_turn, run_turn, send
from tests.integration.conftest import MakeWorker, running_app
from tests.integration.http_server import serving
from tests.tiny_model import save_tiny_model

INSTRUCTIONS = "These instructions fill more than two blocks of the cache of keys and values."
TEMPLATE = """\
{%- if not messages | selectattr('role', 'eq', 'user') | list -%}
    {{- raise_exception('No user query found in messages.') -}}
{%- endif -%}
{%- for message in messages -%}
    {{- message['role'] + ': ' + message['content'] + '\n' -}}
{%- endfor -%}
"""


@pytest.fixture(scope="session")
def strict_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny network whose chat template demands a message of the user."""
    return save_tiny_model(tmp_path_factory.mktemp("strict"), TEMPLATE)


@pytest.fixture
def settings(settings: Settings, strict_model: Path) -> Settings:
    real = {"engine": "transformers", "model": str(strict_model), "dtype": "float32"}
    return settings.model_copy(update=real | {"kv_cache_gib": 0.01})


@pytest.fixture
def socket(settings: Settings) -> Iterator[PromptClient]:
    with running_app(settings) as app, serving(app) as address:
        client = PromptClient.connect(f"ws://{address}/v1/responses")
        yield client
        client.close()


def test_the_turn_after_a_warm_up_finds_its_prompt_computed(
    socket: PromptClient, make_worker: MakeWorker
) -> None:
    make_worker()

    warm = run_turn(socket, generate=False, input=[], instructions=INSTRUCTIONS)
    send(
        socket,
        input="Hello.",
        previous_response_id=warm["id"],
        instructions=INSTRUCTIONS,
        max_output_tokens=4,
    )
    answer = read_turn(socket)[-1]["response"]

    assert warm["output"] == []
    assert warm["usage"]["input_tokens_details"]["cached_tokens"] == 0
    cached = answer["usage"]["input_tokens_details"]["cached_tokens"]
    assert len(INSTRUCTIONS) // 2 < cached <= warm["usage"]["input_tokens"]
