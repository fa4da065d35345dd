"""A fake Hugging Face hub with the part of its protocol that downloads need."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from huggingface_hub import HfApi, snapshot_download

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "dtype": "bfloat16",
}
FILES = {
    "config.json": json.dumps(CONFIG).encode(),
    "model.safetensors": b"w" * 3_000_000,
    "consolidated.safetensors": b"the weights, once more",
    "tokenizer.json": b'{"model": {}}',
    "chat_template.jinja": b"{{ messages }} <think></think>",
    "pytorch_model.bin": b"pickled",
    "modeling.py": b"executable",
    "onnx/model.onnx": b"another format",
}
WITHOUT_WEIGHTS = {name: data for name, data in FILES.items() if not name.endswith("safetensors")}
_HQQ = CONFIG | {"quantization_config": {"quant_method": "hqq"}}
REPOSITORIES = {
    "owner/tiny": FILES,
    "owner/pickled": WITHOUT_WEIGHTS,
    "owner/hqq": FILES | {"config.json": json.dumps(_HQQ).encode()},
    "owner/base": {name: data for name, data in FILES.items() if name != "chat_template.jinja"},
    "owner/ranker": FILES,
}
_TASKS = {"owner/ranker": "text-ranking"}


class FakeHub(BaseHTTPRequestHandler):
    """Hub of the repositories above, each with a branch `main`."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.server.paths.append(path)  # type: ignore[attr-defined]
        for repository, files in REPOSITORIES.items():
            info = f"/api/models/{repository}"
            if path in (info, f"{info}/revision/main", f"{info}/revision/{COMMIT}"):
                self._send(json.dumps(_info(repository)).encode())
                return
            if path == f"{info}/tree/{COMMIT}":
                self._send(json.dumps(_tree(repository)).encode())
                return
            if path.startswith(f"/{repository}/resolve/{COMMIT}/"):
                self._send(files[path.partition(f"{COMMIT}/")[2]])
                return
        self.send_error(404)

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Make the Hugging Face library use the fake hub; yields the paths that are asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeHub) as server:
        server.paths = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        for ours in (HfApi, snapshot_download):
            name = f"worker.weights.huggingface.{ours.__name__}"
            monkeypatch.setattr(name, partial(ours, endpoint=address))
        yield server.paths  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def _info(repository: str) -> dict[str, object]:
    files = [
        {"rfilename": name, "size": len(data)} for name, data in REPOSITORIES[repository].items()
    ]
    found: dict[str, object] = {"id": repository, "sha": COMMIT, "siblings": files}
    return found | ({"pipeline_tag": _TASKS[repository]} if repository in _TASKS else {})


def _tree(repository: str) -> list[dict[str, object]]:
    return [
        {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
        for name, data in REPOSITORIES[repository].items()
    ]
