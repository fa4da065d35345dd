"""Waiting for the end of responses by reading them again."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cli.client.events import TERMINAL
from cli.client.official import PATIENCE_S, Api, RequestFailedError

_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.1, 2.0


class WaitTimeoutError(Exception):
    """Raised if responses have not ended in time; it has their ids."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(*ids)
        self.ids = ids


def wait_for_end(
    api: Api,
    ids: Sequence[str],
    timeout_s: float | None = None,
    on_wait: Callable[[dict[str, Any]], object] = lambda _: None,
) -> Iterator[dict[str, Any] | RequestFailedError]:
    """Yield each response when it has ended, or why it cannot be read.

    An outage is waited out for `PATIENCE_S`. `on_wait` gets what is read of a response that has not
    ended. Raises `WaitTimeoutError` after `timeout_s` seconds.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    waiting, pause_s = list(dict.fromkeys(ids)), _FIRST_PAUSE_S
    answered_at = time.monotonic()
    while waiting:
        for response_id in list(waiting):
            ended = _read(api, response_id, on_wait)
            is_away = api.has_answered and _is_outage(ended)
            if is_away and time.monotonic() < answered_at + PATIENCE_S:
                break
            if not is_away:
                answered_at = time.monotonic()
            if ended is not None:
                waiting.remove(response_id)
                yield ended
        if waiting:
            if deadline is not None and time.monotonic() + pause_s > deadline:
                raise WaitTimeoutError(waiting)
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _MAX_PAUSE_S)


def _read(
    api: Api, response_id: str, on_wait: Callable[[dict[str, Any]], object]
) -> dict[str, Any] | RequestFailedError | None:
    try:
        response: dict[str, Any] = api.retrieve(response_id)
    except RequestFailedError as error:
        return error
    if response["status"] in TERMINAL:
        return response
    on_wait(response)
    return None


def _is_outage(ended: dict[str, Any] | RequestFailedError | None) -> bool:
    return isinstance(ended, RequestFailedError) and ended.may_pass
