"""Text that `antiphon up` prints once the server is ready."""

import json
import shlex
from collections.abc import Sequence

_BANNER = """
Antiphon is up.

  API    {url}/v1   ({access})
  Web    {url}/   (dashboard)
  Docs   {url}/docs
  Model  {models}
  Files  {data_dir}

Try it:

{curl}

Ctrl-C stops everything."""


_OPEN = "open: no key needed until one exists"
_OPEN_ON_LOOPBACK = "open on loopback: no key needed, only this machine can reach it"
_CLOSED = "needs an API key: ./antiphon keys create"


def render_banner(
    url: str,
    models: Sequence[str],
    data_dir: str,
    *,
    has_key: bool = False,
    is_on_loopback: bool = True,
) -> str:
    """Return the banner, with a curl command that calls the first of the models as it stands.

    With a key, once one exists: the one in ANTIPHON_API_KEY.
    """
    access = _CLOSED if has_key else _OPEN_ON_LOOPBACK if is_on_loopback else _OPEN
    key = '-H "authorization: Bearer $ANTIPHON_API_KEY" ' if has_key else ""
    body = {"model": models[0], "input": "Say hello in five words.", "max_output_tokens": 50}
    curl = (
        f"curl -s {url}/v1/responses {key}-H 'content-type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(body))}"
    )
    return _BANNER.format(
        url=url, access=access, models=", ".join(models), data_dir=data_dir, curl=curl
    )
