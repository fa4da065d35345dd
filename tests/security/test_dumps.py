"""Dumps of a server that was busy: none has a secret, and with content keys none has content."""

import base64
import contextlib
import json
import os
import re
import shlex
import site
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from models.access.scopes import ALL_SCOPES
from models.store.store import Store
from tests.acceptance.conftest import MakeServer
from tests.acceptance.server import AntiphonServer
from tests.content_keys import CONTENT_KEY, write_content_keys
from tests.integration.keys import create_key
from tests.integration.receiver import ALLOWED, Receiver
from tests.mcp.process import LABEL, McpServerProcess
from tests.mcp.requests import call_text
from tests.polling import eventually

# Random, so that no compression of Valkey's files takes them apart.
ASKED, INSTRUCTED, ANSWERED = (f"canary-{os.urandom(9).hex()}" for _ in range(3))
TOOL, METADATA, SAVED, USER = (f"canary-{os.urandom(9).hex()}" for _ in range(4))
CONTENT = (ASKED, INSTRUCTED, ANSWERED, TOOL, METADATA, SAVED, USER)
HEADER, TOKEN = (f"canary-{os.urandom(9).hex()}" for _ in range(2))
PG_DUMP = next(
    path
    for folder in site.getsitepackages()
    for path in Path(folder).glob("*/pginstall/bin/pg_dump")
)
FUNCTION = {
    "type": "function",
    "name": "look_up",
    "description": TOOL,
    "parameters": {"type": "object", "properties": {TOOL: {"type": "string"}}},
}


@pytest.fixture
def mcp(tmp_path: Path) -> Iterator[McpServerProcess]:
    with McpServerProcess(tmp_path) as started:
        yield started


class Dumps:
    """All that a server has written: its database, its Valkey, its logs."""

    def __init__(self, server: AntiphonServer) -> None:
        self._folder = server.data_dir
        lines = (self._folder / "run" / "env").read_text().splitlines()
        self.env = {
            name: shlex.split(value)[0]
            for name, _, value in (line.partition("=") for line in lines)
        }

    def texts(self) -> dict[str, bytes]:
        """Return the dumps by their names, with what is compressed or in binary as text."""
        return {
            "pg_dump": self._database(),
            "valkey": self._valkey(),
            **{f"valkey/{path.name}": path.read_bytes() for path in self._files("valkey")},
            **{f"log/{path.name}": path.read_bytes() for path in self._files("log")},
            "up.out": (self._folder / "up.out").read_bytes(),
        }

    def _files(self, folder: str) -> list[Path]:
        """Return the files of a folder, but for the password of Valkey."""
        paths = (self._folder / folder).rglob("*")
        secret = ("password", "valkey.conf")
        return [path for path in paths if path.is_file() and path.name not in secret]

    def _database(self) -> bytes:
        dump = subprocess.run(
            [PG_DUMP, self.env["DATABASE_ADMIN_URL"]], capture_output=True, check=True
        ).stdout
        values = re.findall(rb"\\\\x([0-9a-f]+)", dump)
        return b"\n".join([dump, *(_readable(bytes.fromhex(found.decode())) for found in values)])

    def _valkey(self) -> bytes:
        with redis.Redis.from_url(self.env["REDIS_URL"]) as client:
            client.waitaof(1, 0, 5000)
            return b"\n".join(_readable(value) for value in _values(client))


def _values(client: Any) -> Iterator[bytes]:
    read: dict[bytes, Callable[[bytes], list[bytes]]] = {
        b"string": lambda key: [client.get(key) or b""],
        b"stream": lambda key: [v for _, f in client.xrange(key) for v in f.values()],
        b"hash": lambda key: [v for pair in client.hgetall(key).items() for v in pair],
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": lambda key: list(client.smembers(key)),
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"none": lambda key: [],
    }
    for key in client.scan_iter():
        yield key
        yield from read[client.type(key)](key)


def _readable(value: bytes) -> bytes:
    """Return bytes with the text that is in them compressed, and as the ids of tokens.

    The scripted engine has a token for each byte.
    """
    found = [value]
    with contextlib.suppress(zlib.error):
        found.append(zlib.decompress(value))
    if re.fullmatch(rb"[0-9]+( [0-9]+)*", value):
        found.append(bytes(int(number) & 0xFF for number in value.split()))
    if len(value) % 4 == 0:
        words = struct.unpack(f"<{len(value) // 4}I", value)
        found.append(bytes(word & 0xFF for word in words))
    return b"\n".join(found)


def mentions(texts: dict[str, bytes], canaries: dict[str, str]) -> set[tuple[str, str]]:
    """Return the name of each canary that is in a dump, with the name of the dump."""
    return {
        (name, dump)
        for name, canary in canaries.items()
        for dump, text in texts.items()
        if canary.encode() in text
    }


class Run:
    """Run of a server in which every kind of content and secret is used."""

    def __init__(self, server: AntiphonServer, mcp: McpServerProcess, receiver: Receiver) -> None:
        self._server = server
        self._mcp = mcp
        self.dumps = Dumps(server)
        self.secrets: dict[str, str] = {
            "header": HEADER,
            "token": TOKEN,
            "content key": CONTENT_KEY,
        }
        for path in (*server.data_dir.glob("*password"), server.data_dir / "secret"):
            self.secrets[path.name] = path.read_text().strip()
        self.secrets["valkey"] = urlsplit(self.dumps.env["REDIS_URL"]).password or ""
        secret_file = Path(self.dumps.env["ANTIPHON_SECRET_FILE"])
        url = self.dumps.env["DATABASE_ADMIN_URL"]
        with closing(Store.open(url, secret_file=secret_file)) as store:
            token = create_key(store, scopes=ALL_SCOPES)
        self.secrets["API key"] = token.secret
        self._client = server.client().with_options(api_key=token.reveal())
        created = self._client.post(
            "/webhook_endpoints", cast_to=object, body={"name": "all", "url": receiver.url}
        )
        assert isinstance(created, dict)
        self.secrets["webhook"] = created["signing_secret"].removeprefix("whsec_")

    def go(self) -> dict[str, bytes]:
        """Ask, and return the dumps of the moment at which a tool is called, and after the end."""
        conversation = self._client.conversations.create(
            metadata={"saved": SAVED}, items=[{"type": "message", "role": "user", "content": SAVED}]
        )
        tool = {
            "type": "mcp",
            "server_label": LABEL,
            "server_url": self._mcp.url,
            "require_approval": "never",
            "headers": {"x-canary": HEADER},
            "authorization": TOKEN,
        }
        body: dict[str, Any] = {
            "model": "default",
            "input": ASKED,
            "instructions": INSTRUCTED,
            "metadata": {METADATA: METADATA},
            "background": True,
            "tools": [FUNCTION, tool],
        }
        more: dict[str, Any] = {"extra_body": {"user": USER}}
        stored = self._client.responses.create(conversation=conversation.id, **body, **more)
        unstored = self._client.responses.create(store=False, **body, **more)
        eventually(lambda: self._mcp.calls == ["wait", "wait"])
        during = self.dumps.texts()
        self._mcp.let_go()
        eventually(lambda: all(map(self._is_answered, (stored.id, unstored.id))))
        after = self.dumps.texts()
        return {
            f"{name} {when}": text
            for when, texts in (("during", during), ("after", after))
            for name, text in texts.items()
        }

    def _is_answered(self, response_id: str) -> bool:
        response = self._client.responses.retrieve(response_id)
        assert response.status in ("queued", "in_progress", "completed"), response.error
        return response.status == "completed" and ANSWERED in response.output_text


@pytest.fixture
def run(
    request: pytest.FixtureRequest, make_server: MakeServer, mcp: McpServerProcess, tmp_path: Path
) -> Iterator[Run]:
    settings = {"content_keys_file": str(write_content_keys(tmp_path))} if request.param else {}
    with Receiver() as receiver:
        server = make_server(
            webhook_networks=ALLOWED,
            mcp_servers=json.dumps({LABEL: {"url": mcp.url}}),
            script_text="\f".join([f"{ANSWERED} {call_text('wait')}", f"Again: {ANSWERED}"]),
            script_interval_ms="1",
            checkpoint_seconds="0.1",
            log_level="DEBUG",
            **settings,
        )
        yield Run(server, mcp, receiver)


@pytest.mark.parametrize("run", [True], indirect=True, ids=["with content keys"])
def test_no_dump_has_a_secret_or_content(run: Run) -> None:
    texts = run.go()

    assert mentions(texts, run.secrets) == set()
    assert mentions(texts, {text: text for text in CONTENT}) == set()
    with psycopg.connect(run.dumps.env["DATABASE_ADMIN_URL"]) as connection:
        [[num_keys]] = connection.execute("SELECT count(data_key) FROM projects")
    assert num_keys == 1


@pytest.mark.nightly
@pytest.mark.parametrize("run", [False], indirect=True, ids=["without content keys"])
def test_the_search_finds_content_that_is_in_the_clear(run: Run) -> None:
    texts = run.go()

    assert mentions(texts, run.secrets) == set()
    found = mentions(texts, {text: text for text in CONTENT})
    assert {text for text, dump in found if dump == "pg_dump after"} == {*CONTENT}
    assert (ANSWERED, "valkey during") in found
    assert not any(dump.startswith(("log/", "up.out")) for _, dump in found)


def test_the_search_sees_through_compression_and_tokens() -> None:
    text = ANSWERED.encode()
    tokens = b" ".join(str(byte).encode() for byte in text)
    words = struct.pack(f"<{len(text)}I", *text)

    for form in (text, zlib.compress(text), tokens, words):
        assert text in _readable(form)
    assert text not in _readable(base64.b64encode(text))
