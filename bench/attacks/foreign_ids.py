"""Time of answers about ids of others, and unknown ones: `python -m bench.attacks.foreign_ids`.

Both are 404 with the same body. They must take the same time, too, or the time would tell which ids
exist. The requests of both kinds are sent in turn, in random order, on one connection.
"""

import http.client
import random
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated

import orjson
import psycopg
import typer

from bench.client.bodies import PATH, background_body
from bench.report import RESULTS, Circumstances, Goal, Measure, publish
from bench.server import BenchError, Server, own_server
from models.access.digests import digest_of
from models.access.scopes import ALL_SCOPES
from models.access.tokens import Token
from models.ids import new_id
from models.settings import Settings
from models.store.access.api_keys import ApiKeyRecord
from models.store.store import Store

_PROJECTS = ("asking", "asked")
_GOAL = Goal(at_most=0.03)
"""Chance, beyond one half, to tell a foreign id from an unknown one by one answer's time."""

Request = Callable[[str, bytes | None], bytes]


def main(
    samples: Annotated[int, typer.Option(min=1000, help="Of each kind and route.")] = 3000,
    rounds: Annotated[int, typer.Option(min=1, help="Of each figure.")] = 3,
    results: Annotated[Path, typer.Option(help="Where a section is appended.")] = RESULTS,
) -> None:
    """Measure how well the time of a 404 tells what another project has from what nobody has."""
    command = shlex.join(["python", "-m", "bench.attacks.foreign_ids", *sys.argv[1:]])
    circumstances = Circumstances.now(command)
    with own_server({"ANTIPHON_ENGINE": "scripted"}) as server:
        asking, asked = _create_keys(server)
        with _requests(server, asked) as request:
            responses = [_create(request, PATH, background_body()) for _ in range(200)]
            conversations = [_create(request, "/v1/conversations", b"{}") for _ in range(200)]
        with _requests(server, asking) as request:
            measures = [
                measure
                for path, foreign in ((PATH, responses), ("/v1/conversations", conversations))
                for measure in _compare(request, path, foreign, samples, rounds)
            ]
    publish("Foreign and unknown ids", circumstances, measures, results)


def _create_keys(server: Server) -> list[Token]:
    """Create two projects with a key each."""
    assert server.data_dir is not None
    words = shlex.split((server.data_dir / "run" / "env").read_text())
    addresses = dict(word.split("=", 1) for word in words)
    with psycopg.connect(addresses["DATABASE_ADMIN_URL"]) as connection:
        for project_id in _PROJECTS:
            connection.execute("INSERT INTO projects (project_id) VALUES (%s)", [project_id])
    url = Settings(database_url=server.database_url).database_url
    assert url is not None
    secret_file = Path(addresses.get("ANTIPHON_SECRET_FILE", server.data_dir / "secret"))
    with closing(Store.open(url, pool_size=1, secret_file=secret_file)) as store:
        return [_create_key(store, project_id) for project_id in _PROJECTS]


def _create_key(store: Store, project_id: str) -> Token:
    token = Token.new()
    digest = digest_of(token, store.database.vault)
    record = ApiKeyRecord(
        id=token.id,
        project_id=project_id,
        name="bench",
        scopes=ALL_SCOPES,
        digest=digest,
        created_by="bench",
    )
    if store.api_keys.create(record) is None:
        raise BenchError(f"there is no project {project_id}")
    return token


@contextmanager
def _requests(server: Server, token: Token) -> Iterator[Request]:
    """Provide a function that sends a request with a key, and returns the body of its answer."""
    connection = http.client.HTTPConnection(*server.address)
    headers = {"Authorization": f"Bearer {token.reveal()}", "Content-Type": "application/json"}

    def request(path: str, body: bytes | None = None) -> bytes:
        connection.request("GET" if body is None else "POST", path, body, headers)
        return connection.getresponse().read()

    with closing(connection):
        yield request


def _create(request: Request, path: str, body: bytes) -> str:
    return str(orjson.loads(request(path, body))["id"])


def _compare(
    request: Request,
    path: str,
    foreign: list[str],
    samples: int,
    rounds: int,
) -> list[Measure]:
    prefix = foreign[0].partition("_")[0]
    gaps, advantages = [], []
    for _ in range(rounds):
        ids = [(random.choice(foreign), True) for _ in range(samples)]
        ids += [(f"{prefix}_{new_id().hex}", False) for _ in range(samples)]
        random.shuffle(ids)
        times: dict[bool, list[float]] = {True: [], False: []}
        for wire_id, is_foreign in ids:
            began = time.perf_counter()
            body = request(f"{path}/{wire_id}", None)
            times[is_foreign].append(time.perf_counter() - began)
            if b"not_found" not in body and b"not found" not in body:
                raise BenchError(f"{path}/{wire_id} was answered with {body[:200]!r}")
        gaps.append((median(times[True]) - median(times[False])) * 1e6)
        advantages.append(abs(_chance_of_longer(times[True], times[False]) - 0.5))
    return [
        Measure(name=f"{path}: foreign minus unknown, median, µs", rounds=gaps),
        Measure(
            name=f"{path}: chance beyond 0.5 to tell them apart", rounds=advantages, goal=_GOAL
        ),
    ]


def _chance_of_longer(first: list[float], second: list[float]) -> float:
    """Return the chance that one of the first times is longer than one of the second.

    That is the statistic of Mann and Whitney, divided by the number of pairs.
    """
    ordered = sorted([(value, True) for value in first] + [(value, False) for value in second])
    ranks = sum(rank for rank, (_, is_first) in enumerate(ordered, start=1) if is_first)
    count = len(first)
    return (ranks - count * (count + 1) / 2) / (count * len(second))


if __name__ == "__main__":
    typer.run(main)
