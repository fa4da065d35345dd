"""Places of streams, in all and for each client."""

import pytest

from api.streaming.places import Places
from models.errors import OverloadedError, TooManyStreamsError


def test_a_place_is_given_back() -> None:
    places = Places(1, 1)

    for _ in range(2):
        with places.reserve("a"):
            assert places.num_taken == 1

    assert places.num_taken == 0


def test_one_client_leaves_places_to_others() -> None:
    places = Places(3, 2)

    with places.reserve("a"), places.reserve("a"):
        with pytest.raises(TooManyStreamsError), places.reserve("a"):
            pass
        with places.reserve("b"), pytest.raises(OverloadedError) as full, places.reserve("c"):
            pass

    assert full.value.http_status == 503
