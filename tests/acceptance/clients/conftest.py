"""Programs of clients that run by night: what they send is sent by others, too."""

import pytest

NIGHTLY = {
    "with_agents.mjs",
    "with_agents_websocket.mjs",
    "with_agents_websocket.py",
    "with_ai_sdk.mjs",
    "with_instructor.py",
    "with_langchain.mjs",
    "with_langchain.py",
    "with_litellm.py",
    "with_llm.py",
    "with_open_responses.mjs",
    "with_open_webui.py",
    "with_pydantic_ai.py",
    "with_retries.mjs",
    "with_websocket.mjs",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of these programs."""
    for item in items:
        call = getattr(item, "callspec", None)
        if call is not None and call.params.get("program") in NIGHTLY:
            item.add_marker("nightly")
