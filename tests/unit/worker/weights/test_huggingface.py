"""Downloads over HTTP from a fake Hugging Face hub with the part of its protocol they need."""

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from worker.weights.huggingface import HubError, fetch_from_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"w" * 3_000_000,
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"",
    "pytorch_model.bin": b"pickled",
    "modeling.py": b"executable",
    "onnx/model.onnx": b"another format",
}


class FakeHub(BaseHTTPRequestHandler):
    """Hub with a repository, `owner/tiny`, with a branch `main`, and one without safetensors."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        for name in ("tiny", "pickled"):
            repository = f"owner/{name}"
            if path in (f"/api/models/{repository}/revision/{r}" for r in ("main", COMMIT)):
                self._send(json.dumps(self._info(repository)).encode())
                return
            if path == f"/api/models/{repository}/tree/{COMMIT}":
                self._send(json.dumps(self._tree(repository)).encode())
                return
            if path.startswith(f"/{repository}/resolve/{COMMIT}/"):
                self._send(FILES[path.partition(f"{COMMIT}/")[2]])
                return
        self.send_error(404)

    def _info(self, repository: str) -> dict[str, object]:
        files = [{"rfilename": file["path"]} for file in self._tree(repository)]
        return {"id": repository, "sha": COMMIT, "siblings": files}

    def _tree(self, repository: str) -> list[dict[str, object]]:
        is_whole = repository.endswith("tiny")
        return [
            {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
            for name, content in FILES.items()
            if is_whole or not name.endswith("safetensors")
        ]

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the Hugging Face library use the fake hub."""
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeHub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        ours = partial(snapshot_download, endpoint=address)
        monkeypatch.setattr("worker.weights.huggingface.snapshot_download", ours)
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("model", ["owner/tiny", f"owner/tiny@{COMMIT}", "owner/tiny@main"])
def test_a_model_is_fetched_without_what_can_be_executed(model: str, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []

    fetch_from_hub(model, tmp_path, lambda done, total: steps.append((done, total)))

    found = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert found == {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"}
    assert (tmp_path / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert steps[-1][0] == steps[-1][1] > 3_000_000


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("model", ["owner/none", "owner/tiny@no-such-revision"])
def test_what_is_not_there_is_named(model: str, tmp_path: Path) -> None:
    with pytest.raises(HubError, match=f"{model} cannot be fetched"):
        fetch_from_hub(model, tmp_path, lambda done, total: None)


@pytest.mark.usefixtures("hub")
def test_a_model_of_pickled_weights_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HubError, match="no safetensors"):
        fetch_from_hub("owner/pickled", tmp_path, lambda done, total: None)
