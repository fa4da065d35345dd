"""Server that the commands call: its address and key, and where each was found.

The order, for both: the option, the variable ANTIPHON_…, the variable OPENAI_…; then the server
that runs on this machine. The key in OPENAI_API_KEY may be one of OpenAI's: it is sent only to an
address that was named, never to the server that was found here.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

URL_VARIABLES = ("ANTIPHON_BASE_URL", "ANTIPHON_URL", "OPENAI_BASE_URL")
_KEY = "ANTIPHON_API_KEY"
_OPENAI_KEY = "OPENAI_API_KEY"
_CHECKOUT = Path(__file__).parents[2]
_VERSION = "/v1"


@dataclass(frozen=True, slots=True)
class Target:
    """Server to call."""

    url: str
    """Address without `/v1` and without a trailing slash."""
    url_origin: str
    key: str = field(default="", repr=False)
    key_origin: str = "none"
    is_local: bool = False
    """True if nobody named it: it is the server of this machine."""

    @property
    def base_url(self) -> str:
        """Address as the clients of OpenAI take it."""
        return self.url + _VERSION


def find_target(base_url: str = "", api_key: str = "") -> Target:
    """Return the server that the options, the environment or this machine name.

    Raises `SettingsError` if the settings of this machine are invalid, and they matter.
    """
    named = [("--base-url", base_url), *_variables(URL_VARIABLES)]
    origin, url = next(((origin, url) for origin, url in named if url), ("", ""))
    is_local = not url
    if is_local:
        origin, url = _find_local()
    keys = [("--api-key", api_key), *_variables((_KEY,) if is_local else (_KEY, _OPENAI_KEY))]
    key_origin, key = next(((origin, key) for origin, key in keys if key), ("none", ""))
    url = url.rstrip("/").removesuffix(_VERSION).rstrip("/")
    return Target(url, origin, key, key_origin, is_local)


def _variables(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, os.environ.get(name, "")) for name in names]


def _find_local() -> tuple[str, str]:
    """Return the address of the `antiphon up` of this machine, or that which it would have."""
    from cli.supervisor.readiness import base_url
    from cli.supervisor.run_folder import read_env
    from models.settings import load_settings

    settings = load_settings()
    folders = [settings.data_dir]
    if "ANTIPHON_DATA_DIR" not in os.environ:
        folders.append(_CHECKOUT / settings.data_dir.name)
    for folder in folders:
        if url := read_env(folder).get("ANTIPHON_URL"):
            return f"{folder / 'run' / 'env'}", url
    return "settings", base_url(settings)
