"""Python calls from an engine's delta to the Redis pipeline: `python -m bench.token_path`.

Counts the frames of our own code for one token of a plain answer, with a profile hook. A long path
costs CPU for every token of every stream, and is hard to follow.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from models.ids import new_id
from models.recording.recorder import Recorder
from models.responses.record import ResponseRecord
from models.responses.status import ResponseStatus
from models.schemas.parts import TokenLogprob
from models.streams.event_log import EventLog
from worker.engine.interface import Delta, Logprobs
from worker.engine.scripted import ScriptedTokenizer
from worker.generation.emitter import Emitter
from worker.generation.generation import Generation
from worker.parsing.text_pipeline import TextPipeline

_ROOT = f"{Path(__file__).parents[1]}/"
_PACKAGES = ("worker/", "models/")
_NUM_WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function or comprehension of ours."""

    file: str
    name: str
    owner: str
    """Class of the object that it was called on; empty for functions."""


class Pipeline:
    """Pipeline of Redis commands that all succeed."""

    def __init__(self) -> None:
        self.num_commands = 0

    def evalsha(self, *_arguments: object) -> None:
        """Queue a call of the append script."""
        self.num_commands += 1

    def execute(self, *, raise_on_error: bool) -> list[bytes]:
        """Return the result of every queued command."""
        return [b"OK"] * self.num_commands


class Client:
    """Redis client that only knows how to append."""

    def script_load(self, script: str) -> str:
        """Return a name for the script."""
        return script[:8]

    def pipeline(self, *, transaction: bool) -> Pipeline:
        """Return a new pipeline."""
        return Pipeline()


def main() -> None:
    """Print the calls of one token, and how many calls, classes and files there are."""
    calls = trace_token()
    for call in calls:
        typer.echo(f"{call.file}: {call.name}")
    classes = {call.owner for call in calls if call.owner}
    files = {call.file for call in calls}
    typer.echo(f"{len(calls)} calls, {len(classes)} classes, {len(files)} files")


def trace_token() -> list[Call]:
    """Emit some tokens of one response; return the calls of the last."""
    client: Any = Client()
    log = EventLog(client)
    emitter, generation = Emitter(log), _generation(log)
    emitter.add(generation)
    tokens = ScriptedTokenizer().encode("plain text")
    deltas = [Delta(sequence_id=generation.sequence_ids[0], token_id=token) for token in tokens]
    for delta in deltas[:_NUM_WARM_UP]:
        emitter.emit([delta])
    with _traced() as calls:
        emitter.emit([deltas[_NUM_WARM_UP]])
    return list(calls)


def _generation(log: EventLog) -> Generation:
    record = ResponseRecord(
        id=new_id(),
        project_id="default",
        model="scripted",
        status=ResponseStatus.IN_PROGRESS,
        background=False,
        store=True,
        attempt=1,
        priority=0,
        created_at=datetime.now(UTC),
        parameters={},
        metadata={},
        previous_response_id=None,
        conversation_id=None,
    )
    recorder = Recorder(record, log)
    recorder.begin()
    pipelines = [TextPipeline(ScriptedTokenizer(), [])]
    return Generation(record, recorder, pipelines, num_prompt_tokens=1, format_logprob=_no_logprobs)


def _no_logprobs(token_id: int, logprobs: Logprobs) -> TokenLogprob:
    raise AssertionError(f"token {token_id} has no log probabilities, got {logprobs}")


@contextmanager
def _traced() -> Iterator[Sequence[Call]]:
    calls: list[Call] = []

    def hook(frame: FrameType, event: str, _argument: object) -> None:
        file = frame.f_code.co_filename.removeprefix(_ROOT)
        # The engine comes before; only its tokenizer, which stands in for a library's, is called.
        is_ours = file.startswith(_PACKAGES) and not file.startswith("worker/engine/")
        if event == "call" and is_ours:
            owner = frame.f_locals.get("self")
            name = frame.f_code.co_qualname
            calls.append(Call(file, name, "" if owner is None else type(owner).__name__))

    sys.setprofile(hook)
    try:
        yield calls
    finally:
        sys.setprofile(None)


if __name__ == "__main__":
    typer.run(main)
