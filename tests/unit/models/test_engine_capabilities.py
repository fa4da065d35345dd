"""What engines can do: each of them, all together, and as other releases publish it."""

import pytest

from models.engine_capabilities import ALL_CAPABILITIES, EngineCapabilities

BLIND = EngineCapabilities(reads_images=False, max_context=200)
SMALL = EngineCapabilities(constrains_output=False, max_context=100)


def test_two_engines_can_do_what_each_of_them_can() -> None:
    both = EngineCapabilities(reads_images=False, constrains_output=False, max_context=100)

    assert BLIND.common(SMALL) == SMALL.common(BLIND) == both
    assert BLIND.common(ALL_CAPABILITIES) == BLIND


@pytest.mark.parametrize("capabilities", [BLIND, SMALL, ALL_CAPABILITIES])
def test_what_is_published_is_read_again(capabilities: EngineCapabilities) -> None:
    assert EngineCapabilities.from_json(capabilities.to_json()) == capabilities


def test_what_another_release_publishes_is_read_as_far_as_it_is_known() -> None:
    read = EngineCapabilities.from_json({"max_context": 7, "hears_audio": False})

    assert read == EngineCapabilities(max_context=7)


def test_a_context_is_limited_by_the_shorter_one() -> None:
    assert [ALL_CAPABILITIES.limit(50), SMALL.limit(50), SMALL.limit(500)] == [50, 50, 100]
