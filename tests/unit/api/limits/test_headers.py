"""Headers about limits, as OpenAI's."""

import pytest

from api.limits.headers import format_duration, rate_headers
from models.access.projects import ProjectLimits
from models.limits.amounts import Usage


@pytest.mark.parametrize(
    ("ms", "written"),
    [
        (0, "0ms"),
        (120, "120ms"),
        (1000, "1s"),
        (1500, "1.5s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (60_500, "1m0.5s"),
    ],
)
def test_durations_are_written_as_openai_does(ms: int, written: str) -> None:
    assert format_duration(ms) == written


def test_only_what_is_limited_has_headers() -> None:
    limits = ProjectLimits(requests_per_minute=60)

    assert rate_headers(limits, {"requests": Usage(1, 1000)}) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
    }
    assert rate_headers(ProjectLimits(), {}) == {}


@pytest.mark.parametrize(
    ("used", "limit", "remaining"),
    [((900, 10), "1000", "100"), ((10, 99), "100", "1"), ((0, 130), "100", "0")],
)
def test_tokens_are_those_of_which_the_smaller_share_is_left(
    used: tuple[int, int], limit: str, remaining: str
) -> None:
    limits = ProjectLimits(input_tokens_per_minute=1000, output_tokens_per_minute=100)
    usage = {"input_tokens": Usage(used[0], 5), "output_tokens": Usage(used[1], 5)}

    headers = rate_headers(limits, usage)

    assert headers["x-ratelimit-limit-tokens"] == limit
    assert headers["x-ratelimit-remaining-tokens"] == remaining
    assert headers["x-ratelimit-remaining-input-tokens"] == str(1000 - used[0])
