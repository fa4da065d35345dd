"""Commands on a running server, from `submit` to `rm`, piped and on a terminal."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.acceptance.server import ROOT, AntiphonServer, make_in
from tests.polling import PATIENCE_S, eventually

_ESCAPE = "\x1b"
_HOSTILE = "Hello\x1b[31m red\x1b]0;title\x07 \u202eback\r\nend\n"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _interrupts() -> Iterator[None]:
    """Let children be interrupted, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AntiphonServer]:
    """Start a server whose model tries to steer terminals."""
    yield from _served(tmp_path_factory, script_text=_HOSTILE, script_interval_ms="5")


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AntiphonServer]:
    """Start a server that takes six seconds for an answer."""
    yield from _served(tmp_path_factory, script_tokens="300", script_interval_ms="20")


def _served(tmp_path_factory: pytest.TempPathFactory, **settings: str) -> Iterator[AntiphonServer]:
    data_dir = tmp_path_factory.mktemp("commands") / "data"
    started = make_in(data_dir, None, {"engine": "scripted", **settings})
    started.start()
    yield started
    started.stop()


@pytest.fixture
def run(server: AntiphonServer) -> Run:
    """Return a function that runs a command, piped, which finds the server by its data folder."""

    def run_command(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "antiphon"), *words],
            env=environment(server) | more,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            cwd=server.data_dir,
        )

    return run_command


def environment(server: AntiphonServer) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    return clean | {
        "ANTIPHON_DATA_DIR": str(server.data_dir),
        "TERM": "xterm-256color",
        "COLUMNS": "160",
    }


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, server: AntiphonServer, *words: str) -> None:
        self._leader, follower = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "antiphon"), *words],
            env=environment(server),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            cwd=server.data_dir,
        )
        os.close(follower)
        self.output = ""
        self._num_read = 0

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._leader, text.encode())

    def read_until(self, text: str) -> str:
        """Read until a text is shown after those read before; return all that was shown."""

        def look() -> bool:
            self._read(0.05)
            return text in self.output[self._num_read :]

        eventually(look)
        self._num_read = self.output.index(text, self._num_read) + len(text)
        return self.output

    def wait(self) -> int:
        """Read to the end; return the exit code."""

        def is_over() -> bool:
            self._read(0.05)
            return self.process.poll() is not None

        eventually(is_over)
        seen = None
        while seen != self.output:
            seen = self.output
            self._read(0.05)
        os.close(self._leader)
        return self.process.wait()

    def _read(self, within_s: float) -> None:
        """Read what comes first; the end of the command is an error here, and no output."""
        with suppress(OSError):
            if select.select([self._leader], [], [], within_s)[0]:
                self.output += os.read(self._leader, 65_536).decode(errors="replace")


def is_clean(text: str) -> bool:
    return all(char.isprintable() or char in "\n\t" for char in text) and "\u202e" not in text


def test_a_response_from_its_submission_to_its_deletion(run: Run, server: AntiphonServer) -> None:
    submitted = run("submit", "--background", "--meta", "team=blue", "Hi.")
    response_id = submitted.stdout.strip()
    assert (submitted.returncode, submitted.stderr) == (0, "")
    assert re.fullmatch(r"resp_[0-9a-f]{32}", response_id)

    waited = run("wait", response_id)
    assert (waited.returncode, waited.stdout, waited.stderr) == (0, "Hello red back\nend\n", "")

    events = [json.loads(line) for line in run("tail", response_id, "--json").stdout.splitlines()]
    later = [
        *map(json.loads, run("tail", response_id, "--from", "9", "--json").stdout.splitlines())
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert later == events[9:]

    shown = run("show", response_id)
    assert shown.stdout == waited.stdout
    whole = json.loads(run("show", response_id, "--json").stdout)
    assert (whole["id"], whole["metadata"]) == (response_id, {"team": "blue"})
    assert _ESCAPE in whole["output"][0]["content"][0]["text"]

    again = json.loads(run("retry", response_id, "--wait", "--json").stdout)
    assert again["id"] != response_id
    assert again["output"][0]["content"] == whole["output"][0]["content"]
    listed = run("ls", "--meta", "team=blue", "--status", "completed").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == [again["id"], response_id]
    assert is_clean("".join(listed))

    removed = run("rm", response_id, again["id"])
    assert removed.returncode == 0
    gone = run("show", response_id)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr.count("\n") == 1
    assert run("ls", "--meta", "team=blue").stdout == ""
    doctor = run("doctor", ANTIPHON_ENGINE="scripted", ANTIPHON_PORT=str(server.port))
    faults = [line for line in doctor.stdout.splitlines() if line.startswith("✗")]
    # The disk of the machine that runs the tests may be nearly full, which is no fault of ours.
    assert [line for line in faults if not line.startswith("✗ disk space: ")] == []
    assert doctor.returncode == (1 if faults else 0)


def test_on_a_terminal_the_text_of_a_model_steers_nothing(server: AntiphonServer) -> None:
    for words in (["submit", "Hi."], ["submit", "--wait", "Hi."], ["ls"]):
        terminal = Terminal(server, *words)

        assert terminal.wait() == 0
        # What rich and typer write themselves, for bold and dim.
        plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal.output).replace("\r\n", "\n")
        assert "Hello red back" in " ".join(plain.split())
        assert is_clean(plain), repr(plain)
        assert "\x1b[31m" not in terminal.output


def test_a_batch_on_a_terminal_shows_its_progress(server: AntiphonServer) -> None:
    file = server.data_dir / "many.jsonl"
    file.write_text('{"input": "a"}\n' * 3)

    terminal = Terminal(server, "submit", "-f", str(file))

    assert terminal.wait() == 0
    assert terminal.output.count('"status": "completed"') == 3
    assert "3/3" in terminal.output


def test_a_chat_on_a_terminal_remembers_and_ends_by_ctrl_d(server: AntiphonServer) -> None:
    terminal = Terminal(server, "chat")

    terminal.read_until("> ")
    terminal.type("Hi.\n")
    terminal.read_until("end")
    terminal.read_until("> ")
    terminal.type("/id\n")
    terminal.read_until("resp_")
    # Before the prompt is shown, the terminal takes the end of the input for itself.
    terminal.read_until("> ")
    terminal.type("\x04")

    assert terminal.wait() == 0


def test_ctrl_c_ends_a_command_and_not_the_response(slow_server: AntiphonServer) -> None:
    terminal = Terminal(slow_server, "submit", "Hi.")
    terminal.read_until("This answer")

    terminal.process.send_signal(signal.SIGINT)

    assert terminal.wait() == 130
    found = re.search(r"tail (resp_[0-9a-f]{32})", terminal.output)
    assert found is not None
    client, response_id = slow_server.client(), found[1]
    eventually(lambda: client.responses.retrieve(response_id).status == "completed")


def test_ctrl_c_ends_a_batch_at_once(slow_server: AntiphonServer) -> None:
    file = slow_server.data_dir / "slow.jsonl"
    file.write_text('{"input": "a", "metadata": {"of": "batch"}}\n' * 40)
    terminal = Terminal(slow_server, "submit", "-f", str(file), "--concurrency", "2")
    client = slow_server.client()
    query = {"metadata[of]": "batch"}

    def begun() -> list[str]:
        page = client.get("/responses", cast_to=object, options={"params": query})
        assert isinstance(page, dict)
        return [response["id"] for response in page["data"]]

    eventually(begun)
    terminal.process.send_signal(signal.SIGINT)

    assert terminal.wait() == 130
    assert len(begun()) < 40
    for response_id in begun():
        client.responses.cancel(response_id)


def test_top_shows_the_workers_until_q_is_typed(slow_server: AntiphonServer) -> None:
    top = Terminal(slow_server, "top", "--every", "0.2")
    top.read_until("worker-1")
    top.type("q")

    assert top.wait() == 0


@pytest.mark.nightly
def test_a_tail_survives_the_restart_of_the_api(slow_server: AntiphonServer) -> None:
    response_id = (
        slow_server.client().responses.create(model="default", input="Hi.", background=True).id
    )
    command = [sys.executable, str(ROOT / "antiphon"), "tail", response_id, "--json"]
    with subprocess.Popen(
        command, env=environment(slow_server), stdout=subprocess.PIPE, text=True
    ) as tail:
        assert tail.stdout is not None
        lines = [tail.stdout.readline() for _ in range(20)]

        slow_server.kill("api")
        lines += tail.stdout

    numbers = [json.loads(line)["sequence_number"] for line in lines]
    assert numbers == list(range(len(numbers)))
    assert tail.returncode == 0
