"""Programs of clients that run by night: what they send is sent by others, too."""

import pytest

NIGHTLY = {
    "with_langchain.mjs",
    "with_langchain.py",
    "with_litellm.py",
    "with_open_responses.mjs",
    "with_pydantic_ai.py",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of these programs."""
    for item in items:
        call = getattr(item, "callspec", None)
        if call is not None and call.params.get("program") in NIGHTLY:
            item.add_marker("nightly")
