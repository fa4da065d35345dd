"""Places of streams, in all and for each client."""

import pytest

from api.streaming.places import Places
from models.errors import OverloadedError, TooManyStreamsError


def test_a_place_is_given_back() -> None:
    places = Places(1, 1)

    for _ in range(2):
        with places.reserve("a", "p"):
            assert places.num_taken == 1

    assert places.num_taken == 0


def test_one_client_leaves_places_to_others() -> None:
    places = Places(3, 2)

    with places.reserve("a", "p"), places.reserve("a", "p"):
        with pytest.raises(TooManyStreamsError), places.reserve("a", "p"):
            pass
        with (
            places.reserve("b", "p"),
            pytest.raises(OverloadedError) as full,
            places.reserve("c", "p"),
        ):
            pass

    assert full.value.http_status == 503


def test_a_project_has_a_limit_whatever_its_clients() -> None:
    def exceeded_limit(project_id: str, num_here: int) -> int | None:
        return 2 if project_id == "p" and num_here >= 2 else None

    places = Places(9, 9, exceeded_limit)

    with places.reserve("a", "p"), places.reserve("b", "p"):
        with pytest.raises(TooManyStreamsError, match="may have 2"), places.reserve("c", "p"):
            pass
        with places.reserve("c", "q"):
            assert places.num_of_project("p") == 2

    assert places.num_of_project("p") == 0
