"""`antiphon models check`, and the start of a worker, with models that are served and others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests.tiny_model import save_tiny_model

TEMPLATE = "{% for tool in tools %}<tool_call>{% endfor %}{{ messages }}<think></think>"
Invoke = Callable[..., Result]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("whole") / "tiny", TEMPLATE)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "tiny"))


@pytest.fixture
def invoke(tmp_path: Path) -> Invoke:
    """Return a function that runs a command with the data folder of the test."""
    variables = {"ANTIPHON_DATA_DIR": str(tmp_path / "data"), "ANTIPHON_KV_CACHE_GIB": "0.01"}
    servers = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}

    def run(*arguments: object, **more: str) -> Result:
        environ = variables | servers | more
        return CliRunner().invoke(app, [str(each) for each in arguments], env=environ)

    return run


def test_a_model_that_runs_is_described(folder: Path, invoke: Invoke) -> None:
    result = invoke("models", "check", folder, ANTIPHON_DTYPE="float32")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "tiny: can be served",
        "  network: LlamaForCausalLM, llama",
        "  computed: openvino, float32, on cpu",
        "  quantised: no",
        "  weights: 0.00 billion, 0.00 GiB in files",
        result.stdout.splitlines()[5],
        "  context: 512 tokens",
        "  tools: hermes",
        "  reasoning: between <think> tags",
        "  images: no",
    ]
    assert "0.00 GiB for weights and 0.01 GiB for the cache" in result.stdout


def test_as_json_it_has_all_facts(folder: Path, invoke: Invoke) -> None:
    result = invoke("models", "check", folder, "--json", ANTIPHON_DTYPE="float32")

    answer = json.loads(result.stdout)
    row = answer["data"][0]
    head, linear = 257 * 64, 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128)
    num_weights = 2 * head + linear + 2 * 2 * 64 + 64
    assert answer["object"] == "list"
    assert row | {"free_bytes": 0} == {
        "model": "tiny",
        "folder": str(folder),
        "runs": True,
        "fault": None,
        "faults": [],
        "model_type": "llama",
        "architecture": "LlamaForCausalLM",
        "num_layers": 2,
        "context_length": 512,
        "takes_images": False,
        "has_chat_template": True,
        "takes_tools": True,
        "call_format": "hermes",
        "reasoning": "<think>",
        "quantization": None,
        "device": "cpu",
        "dtype": "float32",
        "forward": "openvino",
        "num_weights": num_weights,
        "stored_bytes": 4 * num_weights,
        # Small matrices are kept twice, and each layer takes 2 MiB besides.
        "weights_bytes": 4 * (num_weights + head + linear) + 2 * (2 << 20),
        "cache_bytes": int(0.01 * 2**30),
        "free_bytes": 0,
    }


def test_reasoning_may_show_in_the_tokens_alone(folder: Path, invoke: Invoke) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"] += [{"content": "<think>"}, {"content": "</think>"}]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))

    result = invoke("models", "check", folder)

    assert "  reasoning: between <think> tags" in result.stdout


def test_a_model_that_lacks_what_only_its_network_shows_is_refused(
    folder: Path, invoke: Invoke
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))

    result = invoke("models", "check", folder)

    assert result.exit_code == 1
    assert "  ✗ it lacks 9 tensors (model.layers.2." in result.stdout


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"hidden_size": 32}, "the shapes differ of"),
        ({"num_attention_heads": "four"}, "transformers cannot load it: "),
    ],
)
def test_a_config_that_does_not_fit_its_tensors_is_refused(
    folder: Path, invoke: Invoke, fields: dict[str, object], problem: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))

    result = invoke("models", "check", folder)

    assert result.exit_code == 1
    assert problem in result.stdout


def test_what_does_not_fit_into_memory_is_refused(
    folder: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.weights.network_facts.free_bytes", lambda device: 1 << 20)

    result = invoke("models", "check", folder, ANTIPHON_DTYPE="float32")

    assert result.exit_code == 1
    assert "the weights need 0.00 GiB and the cache" in result.stdout
    assert "only 0.00 GiB are free" in result.stdout


def test_a_model_that_is_nowhere_is_told(tmp_path: Path, invoke: Invoke) -> None:
    result = invoke("models", "check")

    assert result.exit_code == 1
    assert "its weights are not in" in result.stdout
    assert "./antiphon models pull" in result.stdout


@pytest.mark.parametrize("command", ["worker", "up"])
def test_nothing_starts_with_a_damaged_model(folder: Path, invoke: Invoke, command: str) -> None:
    (folder / "tokenizer.json").unlink()

    result = invoke(command, ANTIPHON_MODEL=str(folder))

    assert result.exit_code == 2
    assert (
        result.stderr.strip()
        .splitlines()[-1]
        .startswith("tiny cannot be served: it has no tokenizer")
    )


def test_text_of_a_model_is_shown_without_control_characters(folder: Path, invoke: Invoke) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "a\x1b[2J\nb"}))

    result = invoke("models", "check", folder)

    assert "\x1b" not in result.stdout
    assert result.stdout.count("\n") == 2
