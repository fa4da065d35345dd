"""Webhooks from the command line to the official client, across a kill -9."""

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.acceptance.conftest import MakeServer
from tests.acceptance.server import ROOT, AntiphonServer
from tests.integration.receiver import ALLOWED, Received, Receiver
from tests.polling import eventually


def webhooks(server: AntiphonServer, *words: str) -> list[str]:
    """Run `./antiphon webhooks …`; return the fields that it prints."""
    command = [sys.executable, str(ROOT / "antiphon"), "webhooks", *words]
    environment = dict(os.environ) | {"ANTIPHON_URL": server.url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n").split("\t")


@pytest.mark.nightly
def test_every_end_is_told_also_when_the_deliverer_is_killed(make_server: MakeServer) -> None:
    server = make_server(webhook_networks=ALLOWED)
    client = server.client()
    with Receiver() as receiver:
        _, _, secret = webhooks(server, "add", receiver.url)
        ids = set()
        for number in range(20):
            ids.add(client.responses.create(model="default", input="hi", background=True).id)
            if number == 10:
                server.kill("maintenance")

        def told() -> set[str]:
            return {event(each).data.id for each in list(receiver.received)}

        def event(each: Received) -> Any:
            return client.webhooks.unwrap(each.body, each.headers, secret=secret)

        eventually(lambda: told() == ids)
        assert {event(each).type for each in receiver.received} == {"response.completed"}
