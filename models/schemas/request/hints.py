"""Hints of OpenAI's API to its own machinery: they change no answer here.

They are stored with the response and shown again where its object has a place for them.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from models.schemas.strict import Duration, Hint, WireModel, refuse_values

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


class BackgroundOptions(WireModel):
    """`background_options`: when a background response is to be complete."""

    completion_window: Literal["soonest", "2h", "8h"] | None = None
    continuation_id: Hint | None = None

    @property
    def can_wait(self) -> bool:
        """Return True if the response may be generated after those that do not wait."""
        return self.completion_window not in (None, "soonest")
