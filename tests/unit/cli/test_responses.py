"""Commands on responses: what they send, what they print and how they end."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.client import events, rendering, waiting
from cli.commands.responses import follow, top
from tests.unit.cli.fake_api import Asked, FakeApi, Refusal, Stream, deltas, ending, response

HOSTILE = ("He\x1b[3", "1mllo\x1b]0;ti", "tle\x07 \u202ethere\r", "\n\x9b2J!")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (events, waiting):
        monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.001)
        monkeypatch.setattr(module, "_MAX_PAUSE_S", 0.001)


def test_an_answer_is_printed_as_it_is_generated(api: FakeApi) -> None:
    api.on("POST", "/v1/responses", response(status="queued"))
    api.on("GET", "/v1/responses/resp_1", Stream([*deltas("Good ", "day."), ending(2)]))

    result = api.run("submit", "Hi.", "--model", "m", "--metadata", "a=b=c")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "Good day.\n", "")
    [created, _] = api.asked
    assert created.body == {
        "input": "Hi.",
        "background": True,
        "model": "m",
        "metadata": {"a": "b=c"},
    }
    assert created.headers["authorization"] == "Bearer sk-test"
    assert created.headers["idempotency-key"]


def test_in_the_background_the_id_is_printed_at_once(api: FakeApi) -> None:
    api.on("POST", "/v1/responses", response(status="queued"))

    plain = api.run("submit", "Hi.", "--background")
    as_json = api.run("submit", "Hi.", "--background", "--json")

    assert (plain.exit_code, plain.stdout) == (0, "resp_1\n")
    assert json.loads(as_json.stdout)["status"] == "queued"


@pytest.mark.parametrize("words", [[], ["-"]])
def test_a_text_is_read_from_standard_input(api: FakeApi, words: list[str]) -> None:
    api.on("POST", "/v1/responses", response(status="queued"))

    api.run("submit", "--background", *words, input="From a pipe.\n")

    assert api.asked[0].body["input"] == "From a pipe.\n"


def test_a_request_is_read_from_a_file_and_options_come_first(api: FakeApi, tmp_path: Path) -> None:
    body = {"input": "x", "model": "theirs", "stream": True, "seed": 1, "metadata": {"a": "b"}}
    (tmp_path / "request.json").write_text(json.dumps(body))
    api.on("POST", "/v1/responses", response(status="queued"))

    file = str(tmp_path / "request.json")
    api.run("submit", "-f", file, "--background", "--model", "m", "--meta", "c=d")

    assert api.asked[0].body == {
        "input": "x",
        "model": "m",
        "seed": 1,
        "background": True,
        "metadata": {"a": "b", "c": "d"},
    }


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["submit", "-f", "/none.json"], "/none.json: No such file or directory"),
        (["submit", "-f", "-"], "it is not JSON"),
        (["submit", ""], "empty"),
        (["submit", "x", "--metadata", "a"], "--metadata a: it must be key=value"),
        (["ls", "--since", "soon"], "--since soon: it must be"),
        (["ls", "--limit", "0"], "--limit"),
        (["tail", "resp_1", "--from", "-1"], "--from"),
        (["tail"], "Missing argument"),
        (["submit", "x", "-f", "many.jsonl"], "without a text"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_use_is_told_and_exits_with_2(api: FakeApi, words: list[str], problem: str) -> None:
    result = api.run(*words, input="{")

    assert result.exit_code == 2
    assert problem in result.stderr
    assert result.stdout == ""
    assert not api.asked


def test_a_batch_prints_a_line_for_each_request(api: FakeApi, tmp_path: Path) -> None:
    lines = [{"input": "a"}, {"custom_id": "two", "body": {"input": "b"}}, {"input": "bad"}]
    file = tmp_path / "many.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)) + "\n\n")

    def create(asked: Asked) -> object:
        text = asked.body["input"]
        return Refusal(400, "Bad.") if text == "bad" else response(f"resp_{text}", "queued")

    api.on("POST", "/v1/responses", create)
    api.on(
        "GET", "/v1/responses/resp_a", response("resp_a", "queued"), response("resp_a", text="A")
    )
    api.on("GET", "/v1/responses/resp_b", response("resp_b", "failed"))

    result = api.run("submit", "-f", str(file), "--metadata", "run=7")

    assert result.exit_code == 1
    done = {line["line"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert done[1] == {
        "line": 1,
        "custom_id": None,
        "id": "resp_a",
        "status": "completed",
        "text": "A",
        "error": None,
    }
    assert (done[2]["custom_id"], done[2]["status"]) == ("two", "failed")
    assert done[2]["error"]["message"] == "It broke."
    assert (done[3]["id"], done[3]["error"]["message"]) == (None, "Bad.")
    created = [asked.body for asked in api.asked if asked.method == "POST"]
    assert all(body["metadata"] == {"run": "7"} for body in created)


def test_waiting_prints_every_response_once_it_has_ended(api: FakeApi) -> None:
    api.on("GET", "/v1/responses/resp_1", response(status="queued"), response(text="One."))
    api.on("GET", "/v1/responses/resp_2", response("resp_2", text="Two."))

    result = api.run("wait", "resp_1", "resp_2", "resp_1")

    assert (result.exit_code, result.stdout) == (0, "Two.\nOne.\n")


PLACE = {"queue": {"position": 7, "eta_seconds": 300.4}}


@pytest.mark.parametrize("command", ["show", "wait"])
def test_the_place_of_a_queued_response_is_told(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    notes: list[str] = []
    monkeypatch.setattr(rendering, "note", notes.append)
    monkeypatch.setattr(follow, "note", notes.append)
    queued = response(status="queued", text="") | {"antiphon": PLACE}
    api.on("GET", "/v1/responses/resp_1", queued, response(text="One."))

    result = api.run(command, "resp_1")

    assert result.exit_code == 0
    assert "number 7 in the queue, starts in about 5m" in notes[0]


def test_waiting_for_one_that_fails_exits_with_1(api: FakeApi) -> None:
    api.on("GET", "/v1/responses/resp_1", response(status="failed"))
    api.on("GET", "/v1/responses/resp_2", response("resp_2", "incomplete", text="Cut"))

    failed = api.run("wait", "resp_1", "resp_2")
    incomplete = api.run("wait", "resp_2")
    unknown = api.run("wait", "resp_3")
    as_json = api.run("wait", "resp_1", "--json")

    assert (failed.exit_code, failed.stdout) == (1, "Cut\n")
    assert failed.stderr == "resp_1 failed: It broke.\n"
    assert incomplete.exit_code == 0
    assert unknown.exit_code == 1
    assert "./antiphon ls" in unknown.stderr
    assert json.loads(as_json.stdout)["status"] == "failed"
    assert as_json.exit_code == 1


AWAY = Refusal(503, "The database is out of reach.", {"x-should-retry": "false"})


def test_waiting_survives_an_outage(api: FakeApi) -> None:
    api.on("GET", "/v1/responses/resp_1", response(status="queued"), AWAY, AWAY, response())

    result = api.run("wait", "resp_1")

    assert result.exit_code == 0, result.stderr
    assert len(api.asked) == 4


def test_an_outage_that_does_not_end_is_told_once_for_each(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.05)
    for name in ("resp_1", "resp_2"):
        api.on("GET", f"/v1/responses/{name}", response(name, "queued"), AWAY)

    result = api.run("wait", "resp_1", "resp_2")

    assert result.exit_code == 1
    assert result.stderr.count("out of reach") == 2


def test_a_server_that_never_answered_is_not_waited_for(api: FakeApi) -> None:
    api.on("GET", "/v1/responses/resp_1", AWAY)

    result = api.run("wait", "resp_1")

    assert (result.exit_code, len(api.asked)) == (1, 1)


def test_waiting_ends_in_time(api: FakeApi) -> None:
    api.on("GET", "/v1/responses/resp_1", response(status="in_progress"))

    result = api.run("wait", "resp_1", "--timeout", "0")

    assert result.exit_code == 1
    assert result.stderr == "not ended after 0 s: resp_1\n"


def test_a_lost_connection_is_opened_anew_after_the_last_event(api: FakeApi) -> None:
    api.on(
        "GET",
        "/v1/responses/resp_1",
        Stream(deltas("a", "b"), is_whole=False),
        Refusal(503),
        Stream(deltas("c", start=2), is_whole=False),
        Stream([*deltas("d", start=3), ending(4)]),
    )

    result = api.run("tail", "resp_1")

    assert (result.exit_code, result.stdout) == (0, "abcd\n")
    assert "starting_after" not in api.asked[0].query
    after = [asked.query.partition("starting_after=")[2] for asked in api.asked[1:]]
    assert after[-1] == "2"
    assert after[0] == "1"


def test_a_tail_begins_at_an_event(api: FakeApi) -> None:
    api.on("GET", "/v1/responses/resp_1", Stream([*deltas("x", start=7), ending(8)]))

    result = api.run("tail", "resp_1", "--from", "7")

    assert result.stdout == "x\n"
    assert "starting_after=6" in api.asked[0].query


def test_events_are_printed_as_lines_or_as_json(api: FakeApi) -> None:
    api.on("GET", "/v1/responses/resp_1", Stream([*deltas("x\x1b[1m\n"), ending(1)]))

    lines = api.run("tail", "resp_1", "--events").stdout.splitlines()
    parsed = [*map(json.loads, api.run("tail", "resp_1", "--json").stdout.splitlines())]

    assert lines == ["0\tresponse.output_text.delta\tx", "1\tresponse.completed"]
    assert [event["sequence_number"] for event in parsed] == [0, 1]


def test_a_tail_beyond_the_end_prints_nothing(api: FakeApi) -> None:
    api.on("GET", "/v1/responses/resp_1", Stream([]), response())

    result = api.run("tail", "resp_1", "--from", "99")

    assert (result.exit_code, result.stdout) == (0, "")


def broken(code: str, message: str) -> dict[str, Any]:
    """Return the event that ends a stream which cannot continue."""
    return {"type": "error", "sequence_number": 1, "error": {"code": code, "message": message}}


def test_a_stream_that_cannot_continue_for_now_is_resumed(api: FakeApi) -> None:
    away = broken("service_unavailable", "The database is out of reach; try again.")
    ended = Stream([*deltas("a", "b"), ending(2)][1:])
    api.on("GET", "/v1/responses/resp_1", Stream([*deltas("a"), away]), ended)

    result = api.run("tail", "resp_1", "--json")

    numbers = [json.loads(line)["sequence_number"] for line in result.stdout.splitlines()]
    assert (result.exit_code, numbers) == (0, [0, 1, 2])


def test_a_response_that_is_deleted_meanwhile_ends_its_tail(api: FakeApi) -> None:
    gone = broken("response_not_found", "It was deleted.")
    api.on("GET", "/v1/responses/resp_1", Stream([*deltas("a"), gone]))

    result = api.run("tail", "resp_1")

    assert result.exit_code == 1
    assert result.stderr == "It was deleted.\n"


def test_a_server_that_is_gone_for_good_is_given_up(api: FakeApi) -> None:
    api.on("GET", "/v1/responses/resp_1", Refusal(500, "Broken.", {"x-should-retry": "false"}))

    result = api.run("tail", "resp_1", "--patience", "0")

    assert (result.exit_code, result.stderr) == (1, "Broken.\n")


def test_text_of_a_model_cannot_steer_the_terminal(api: FakeApi) -> None:
    call = {"type": "function_call", "name": "f\x1b[1m", "arguments": "{\x07}"}
    done = {"type": "response.output_item.done", "sequence_number": 4, "item": call}
    api.on("GET", "/v1/responses/resp_1", Stream([*deltas(*HOSTILE), done, ending(5)]))
    tail = api.run("tail", "resp_1").stdout
    whole = response(text="".join(HOSTILE), model="m\x1b[2J", id="resp_1\x1b[1m")
    api.on("GET", "/v1/responses/resp_1", whole)
    api.on("GET", "/v1/responses", {"data": [whole], "has_more": False})

    assert tail == "Hello there\n!\n[calls f({})]\n"
    assert api.run("show", "resp_1").stdout == "Hello there\n!\n"
    for words in (["ls"], ["ls", "--json"], ["show", "resp_1", "--json"], ["wait", "resp_1"]):
        output = api.run(*words).output
        assert all(char.isprintable() or char in "\n\t" for char in output), words
        assert "\u202e" not in output


def test_what_a_server_says_cannot_steer_the_terminal(api: FakeApi) -> None:
    refusal = Refusal(400, "No \x1b[2J\u202emodel\r\nx.")
    ids = response("resp_\x1b[1m", "queued")
    api.on("POST", "/v1/responses", refusal, ids)
    api.on("GET", "/v1/queue", refusal)
    api.on("DELETE", "/v1/responses/resp_1", {"id": "\x1b[2J", "deleted": True})

    outputs = [
        api.run(*words).output
        for words in (["submit", "x"], ["submit", "x", "--background"], ["top"], ["rm", "resp_1"])
    ]

    assert outputs[0] == outputs[2] == "No model x.\n"
    assert all(char.isprintable() or char in "\n\t" for char in "".join(outputs))


def test_a_list_is_read_in_pages(api: FakeApi) -> None:
    def page(asked: Asked) -> object:
        first = 100 if "after" in asked.query else 0
        number = 20 if "after" in asked.query else 100
        data = [response(f"resp_{first + place}") for place in range(number)]
        return {"data": data, "has_more": True}

    api.on("GET", "/v1/responses", page)
    words = ["--status", "failed", "--status", "queued", "--model", "m", "--meta", "k=v"]

    result = api.run("ls", "--limit", "120", "--since", "2023-11-14", "--json", *words)

    listed = json.loads(result.stdout)
    assert [each["id"] for each in listed["data"]] == [f"resp_{n}" for n in range(120)]
    assert listed["has_more"] is True
    first, second = (asked.query for asked in api.asked)
    for part in ("status=failed%2Cqueued", "since=1699920000", "model=m", "metadata%5Bk%5D=v"):
        assert part in first
        assert part in second
    assert "limit=100" in first
    assert "limit=20" in second
    assert "after=resp_99" in second


def test_a_piped_list_is_lines_of_fields(api: FakeApi) -> None:
    api.on("GET", "/v1/responses", {"data": [response(text="A\nB")], "has_more": False})

    fields = api.run("ls").stdout.removesuffix("\n").split("\t")

    assert [fields[0], fields[1], *fields[3:]] == ["resp_1", "completed", "m", "5", "A B"]


@pytest.mark.parametrize(
    ("command", "method", "path", "column"),
    [
        ("cancel", "POST", "/v1/responses/{}/cancel", "status"),
        ("rm", "DELETE", "/v1/responses/{}", "deleted"),
    ],
)
def test_one_refusal_does_not_stop_the_others(
    api: FakeApi, command: str, method: str, path: str, column: str
) -> None:
    for response_id in ("resp_1", "resp_3"):
        api.on(method, path.format(response_id), {"id": response_id, column: "done"})

    result = api.run(command, "resp_1", "resp_2", "resp_3")

    assert result.exit_code == 1
    assert result.stdout == "resp_1\tdone\nresp_3\tdone\n"
    assert result.stderr.count("\n") == 1


def test_a_retry_submits_what_was_asked(api: FakeApi) -> None:
    body = {"input": [{"role": "user", "content": "Hi."}], "seed": 7, "model": "m"}
    api.on("GET", "/v1/responses/resp_1/request", body)
    api.on("POST", "/v1/responses", response("resp_2", "queued"))

    result = api.run("retry", "resp_1", "--background")

    assert result.stdout == "resp_2\n"
    assert api.asked[1].body == body | {"background": True}


def test_a_chat_goes_on_from_turn_to_turn(api: FakeApi) -> None:
    created = [response("resp_1", "queued"), response("resp_2", "queued")]
    api.on("POST", "/v1/responses", *created, created[1])
    for number, text in (("1", "One."), ("2", "Two.")):
        events = [*deltas(text), ending(1)]
        api.on("GET", f"/v1/responses/resp_{number}", Stream(events))

    result = api.run("chat", "--system", "Be brief.", input="first\n\nsecond\n/new\nthird\n/id\n")

    assert (result.exit_code, result.stdout) == (0, "One.\nTwo.\nTwo.\nresp_2\n")
    bodies = [asked.body for asked in api.asked if asked.method == "POST"]
    assert [body["input"] for body in bodies] == ["first", "second", "third"]
    assert [body.get("previous_response_id") for body in bodies] == [None, "resp_1", None]
    assert {body["instructions"] for body in bodies} == {"Be brief."}


def test_top_shows_queues_workers_and_responses(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = {"model": "m", "num_queued": 3, "num_in_progress": 1, "oldest_queued_seconds": 190.0}
    worker = {"name": "worker-1\x1b[1m", "model": "m", "num_running": 1, "is_alive": True}
    api.on("GET", "/v1/queue", {"data": [queue]})
    api.on("GET", "/v1/responses", {"data": [response(status="in_progress")]})
    without = api.run("top").stdout
    api.on("GET", "/admin/v1/workers", {"data": [worker]})
    other = 'antiphon_tokens_total{dir="input",model="m"} 9e9\n'
    metrics = [f'{other}antiphon_tokens_total{{dir="output",model="m"}} {n}\n' for n in (100, 150)]
    api.on("GET", "/metrics", *metrics)
    monkeypatch.setattr(top, "_SAMPLE_S", 0.05)

    result = api.run("top", "--once")

    assert "WORKER" not in without
    for line in (["m", "3", "1", "3m"], ["worker-1?[1m", "1", "alive"], ["resp_1", "in_progress"]):
        assert any(row.split()[: len(line)] == line for row in result.stdout.splitlines()), line
    rates = [float(row.split()[0]) for row in result.stdout.splitlines() if "tokens/s" in row]
    assert len(rates) == 1
    assert 10 < rates[0] <= 1000
    as_json = json.loads(api.run("top", "--json").stdout)
    assert (as_json["queues"], as_json["tokens_per_second"]) == ([queue], 0)


def test_served_models_are_listed(api: FakeApi) -> None:
    model = {"id": "m", "root": "m", "context_length": 8192, "aliases": ["default"]}
    api.on("GET", "/v1/models", {"object": "list", "data": [model]})

    assert api.run("models", "list").stdout == "m\tm\t8192\tdefault\n"


@pytest.mark.parametrize(
    ("refusal", "fix"),
    [
        (Refusal(401, "No key."), "ANTIPHON_API_KEY"),
        (Refusal(429, "Too many.", {"x-should-retry": "false"}), "try again later"),
        (Refusal(503, "Down.", {"x-should-retry": "false"}), "./antiphon doctor"),
    ],
)
def test_an_error_is_one_line_that_names_the_fix(api: FakeApi, refusal: Refusal, fix: str) -> None:
    api.on("POST", "/v1/responses", refusal)
    api.on("GET", "/v1/queue", refusal)

    for words in (["submit", "x"], ["top"]):
        result = api.run(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.count("\n") == 1
        assert fix in result.stderr


def test_no_server_is_told_with_what_names_it(api: FakeApi) -> None:
    for words in (["ls"], ["models", "list"]):
        result = api.run(*words, "--base-url", "http://127.0.0.1:1")

        assert result.exit_code == 1
        assert result.stderr.startswith("no answer from http://127.0.0.1:1: ")
        assert result.stderr.endswith("see --base-url\n")
