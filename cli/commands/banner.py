"""Text that `antiphon up` prints once the server is ready."""

import json
import shlex
from collections.abc import Sequence

_BANNER = """
Antiphon is up.

  API    {url}/v1   (open on loopback: no key needed, only this machine can reach it)
  Docs   {url}/docs
  Model  {models}
  Files  {data_dir}

Try it:

{curl}

Ctrl-C stops everything."""


def render_banner(url: str, models: Sequence[str], data_dir: str) -> str:
    """Return the banner, with a curl command that calls the first of the models as it stands."""
    body = {"model": models[0], "input": "Say hello in five words.", "max_output_tokens": 50}
    curl = (
        f"curl -s {url}/v1/responses -H 'content-type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(body))}"
    )
    return _BANNER.format(url=url, models=", ".join(models), data_dir=data_dir, curl=curl)
