"""The whole server with a certificate of its own, and clients that trust its authority."""

import json
import ssl
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from openai import OpenAI
from simple_websocket import Client

from tests.acceptance.conftest import MakeServer
from tests.certificates import TlsFiles
from tests.polling import PATIENCE_S


@pytest.mark.nightly
def test_official_clients_are_served_by_https_and_wss(
    make_server: MakeServer, tmp_path: Path
) -> None:
    files = TlsFiles.make(tmp_path)
    server = make_server(tls_cert_file=str(files.certificate), tls_key_file=str(files.key))
    url = f"https://127.0.0.1:{server.port}"
    context = ssl.create_default_context(cafile=files.authority)

    with httpx2.Client(verify=context, timeout=PATIENCE_S) as http:
        client = OpenAI(base_url=f"{url}/v1", api_key="unused", http_client=http, max_retries=0)
        answer = client.responses.create(model="default", input="Hi.")
        streamed = client.responses.create(model="default", input="Hi.", stream=True)
        types = [event.type for event in streamed]
    address = url.replace("https:", "wss:")
    with closing(Client.connect(f"{address}/v1/responses", ssl_context=context)) as websocket:
        websocket.send(json.dumps({"type": "response.create", "input": "Hi."}))
        event = json.loads(str(websocket.receive(timeout=PATIENCE_S)))

    assert url in server.output
    assert answer.status == "completed"
    assert types[-1] == "response.completed"
    assert event["type"] == "response.created"
