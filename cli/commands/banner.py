"""Text that `antiphon up` prints once the server is ready."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

_DATA_DIR = Path(__file__).parents[2] / ".antiphon"

_BANNER = """
Antiphon is up.

  API    {url}/v1   ({access})
  Web    {url}/   (dashboard)
  Docs   {url}/docs
  Model  {models}
  Files  {data_dir}

Try it, in another terminal:
{exports}
  ./antiphon submit "Say hello in five words."
  ./antiphon submit --background "Tell me about the sea."    then: ./antiphon wait ID
  ./antiphon top                                             the queue, live

{curl}

Ctrl-C stops everything. ./antiphon doctor says what is wrong, if something is."""


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
    """Return the banner, with commands that call the first of the models as they stand.

    With a key, once one exists: the one in ANTIPHON_API_KEY. Commands find the server by its data
    folder, if that is the checkout's.
    """
    exports = "" if Path(data_dir) == _DATA_DIR else f"\n  export ANTIPHON_BASE_URL={url}\n"
    access = _CLOSED if has_key else _OPEN_ON_LOOPBACK if is_on_loopback else _OPEN
    key = '-H "authorization: Bearer $ANTIPHON_API_KEY" ' if has_key else ""
    body = {"model": models[0], "input": "Say hello in five words.", "max_output_tokens": 50}
    curl = (
        f"curl -s {url}/v1/responses {key}-H 'content-type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(body))}"
    )
    return _BANNER.format(
        url=url,
        access=access,
        models=", ".join(models),
        data_dir=data_dir,
        curl=curl,
        exports=exports,
    )
