"""Benchmark of the work on a request before it is queued: `python -m bench.prompts`.

In one process, without HTTP: validation of a body of 10 kB, and a chain of 200 turns that is read
from Postgres and rendered to prompt tokens by the tokenizer of the served model.
"""

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import orjson
import typer

from api.http.strict_json import parse_object
from bench.client.bodies import story_prompt
from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from cli.embedded import EmbeddedPostgres
from models.chat.prompt import ChatEncoder
from models.chat.render import encode_prompt
from models.chat.template_encoder import load_encoder
from models.ids import input_item_id, new_id, output_item_id
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.schemas.request.create_response import CreateResponse
from models.schemas.request.parameters import GenerationParameters
from models.settings import load_settings
from models.store.finish import TerminalRecord
from models.store.store import Store
from models.store.workers import WorkerIdentity
from models.tables import DEFAULT_PROJECT

ROOT = Path(__file__).parents[1]
BODY_BYTES = 10_000
NUM_TURNS = 200
QUESTION = "And what did the keeper of the lighthouse do then, on the day after?"
ANSWER = "He lit the lamp, wrote the hour into his book and looked out over the sea."
CUT_TO = 4


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Of each figure.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="In a round; its median counts.")] = 50,
    results: Annotated[Path, typer.Option(help="Where the table is appended.")] = RESULTS,
) -> None:
    """Measure, print, and append to bench/RESULTS.md."""
    circumstances = Circumstances.now(shlex.join(["python", "-m", "bench.prompts", *sys.argv[1:]]))
    encoder = load_encoder(load_settings())
    body = _body()

    def measure(name: str, act: Callable[[], object], at_most: float | None = None) -> Measure:
        goal = None if at_most is None else Goal(at_most=at_most)
        taken = [_median_ms(act, repeats) for _ in range(rounds)]
        return Measure(name=name, rounds=taken, goal=goal)

    measures = [
        measure("body of 10 kB read and checked p50, ms", lambda: _check(body), at_most=3),
        measure("its tokens counted p50, ms", lambda: _count(encoder, _check(body))),
    ]
    with _chain() as (store, last_id):

        def rendered(truncation: Any) -> int:
            items = store.items.of_chain(DEFAULT_PROJECT, last_id)
            return len(encode_prompt(encoder, GenerationParameters(truncation=truncation), items))

        num_tokens = rendered("disabled")
        name = f"chain of {NUM_TURNS} turns, {num_tokens} tokens, read and rendered"
        measures.append(measure(f"{name} p50, ms", lambda: rendered("disabled"), at_most=50))
        encoder.context_length = num_tokens // CUT_TO
        cut = f"the same cut to a context of {encoder.context_length} tokens"
        measures.append(measure(f"{cut} p50, ms", lambda: rendered("auto"), at_most=50))
    publish("Prompts: what a request costs before it is queued", circumstances, measures, results)


def _median_ms(act: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        act()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def _body() -> bytes:
    """Build a request of messages of some hundred characters each, as agents send them."""
    messages: list[dict[str, str]] = []
    fields = {"instructions": QUESTION, "metadata": {"a": "b"}, "temperature": 0.7, "stop": ["\n"]}
    while True:
        role = "assistant" if len(messages) % 2 else "user"
        messages.append({"role": role, "content": story_prompt(len(messages))[:500]})
        body = orjson.dumps({"input": messages, **fields})
        if len(body) >= BODY_BYTES:
            return body


def _check(body: bytes) -> CreateResponse:
    return CreateResponse.model_validate(parse_object(body))


def _count(encoder: ChatEncoder, request: CreateResponse) -> int:
    return len(encode_prompt(encoder, request.parameters(), request.input_items()))


@contextmanager
def _chain() -> Iterator[tuple[Store, UUID]]:
    """Start a database with one chain of turns; yield its store and the id of the last turn."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder))
        with server:
            environment = os.environ | {"DATABASE_URL": server.url, "REDIS_URL": "redis://"}
            subprocess.run([sys.executable, "antiphon", "migrate"], cwd=ROOT, env=environment)
            store = Store.open(server.url.replace("postgresql://", "postgresql+psycopg://"))
            last_id = _write_turns(store)
            yield store, last_id
            store.close()
        server.discard()


def _write_turns(store: Store) -> UUID:
    worker = WorkerIdentity(
        id=new_id(), project_id=DEFAULT_PROJECT, name="b", model="b", host="b", pid=1
    )
    store.workers.register(worker)
    previous_id: UUID | None = None
    for _ in range(NUM_TURNS):
        turn = ResponseRecord(
            id=new_id(),
            project_id=DEFAULT_PROJECT,
            model=worker.model,
            status=ResponseStatus.QUEUED,
            background=True,
            store=True,
            attempt=0,
            created_at=datetime.now(UTC),
            parameters={},
            previous_response_id=previous_id,
        )
        store.responses.create(turn, [_message("user", QUESTION, turn.id)])
        claimed = store.claims.claim(worker.id, worker.model)
        assert claimed is not None
        output = [_message("assistant", ANSWER, turn.id)]
        terminal = TerminalRecord(
            status=ResponseStatus.COMPLETED, finished_at=datetime.now(UTC), output=output
        )
        assert store.finisher.finish(claimed, terminal)
        store.workers.renew(worker)
        previous_id = turn.id
    assert previous_id is not None
    return previous_id


def _message(role: str, text: str, response_id: UUID) -> dict[str, Any]:
    is_user = role == "user"
    item_id = (input_item_id if is_user else output_item_id)("message", response_id, 0)
    part = {"type": "input_text" if is_user else "output_text", "text": text}
    return {"type": "message", "id": item_id, "role": role, "content": [part]}


if __name__ == "__main__":
    typer.run(main)
