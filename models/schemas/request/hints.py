"""Hints of OpenAI's API to its own machinery: they change no answer here.

They are stored with the response and shown again where its object has a place for them.
"""

import time
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from models.schemas.strict import Duration, Hint, WireModel, refuse_values

MAX_AHEAD_DAYS = 30
"""Days for which a response may be deferred."""
_DAY_S = 24 * 60 * 60

CacheRetention = Literal["in_memory", "in-memory", "24h"]


class CacheOptions(WireModel):
    """`prompt_cache_options`: prefixes are cached in any case, for as long as there is room."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Duration | None = None
    comparison_response_id: Hint | None = None
    prewarm: bool | None = Field(None, exclude=True)
    """True means `generate: false`."""


def _refuse_prewarm(options: CacheOptions) -> CacheOptions:
    if options.prewarm:
        raise PydanticCustomError(
            "unsupported_parameter", "it is not supported by this server", {"name": "prewarm"}
        )
    return options


AnsweredCacheOptions = Annotated[CacheOptions, AfterValidator(_refuse_prewarm)]
"""`prompt_cache_options` of a request that is always answered."""


class AccessPrograms(WireModel):
    """`access_programs`: no ability of a model is withheld here."""

    cyber: Literal["standard", "daybreak_blue", "daybreak_red"] | None = None


class ImageOptions(WireModel):
    """`image`: images are not compressed here; a request that requires it is refused."""

    context_compression: Annotated[Literal["auto", "disabled"] | None, refuse_values("enabled")] = (
        None
    )


def _refuse_far_future(unix_s: int) -> int:
    latest = int(time.time()) + MAX_AHEAD_DAYS * _DAY_S
    if unix_s > latest:
        raise PydanticCustomError(
            "too_far_ahead",
            "it must be a Unix time at most {days} days ahead, now {latest}",
            {"days": MAX_AHEAD_DAYS, "latest": latest},
        )
    return unix_s


UnixSeconds = Annotated[int, Field(ge=0), AfterValidator(_refuse_far_future)]


class BackgroundOptions(WireModel):
    """`background_options`: when a background response is to be complete."""

    completion_window: Literal["soonest", "2h", "8h"] | None = None
    not_before: UnixSeconds | None = None
    """Unix time before which it is not started."""
    continuation_id: Hint | None = None

    @property
    def can_wait(self) -> bool:
        """Return True if the response may be generated after those that do not wait."""
        return self.completion_window not in (None, "soonest")
