"""Requests that are almost valid: no 5xx, and every error in the one form, with a request id."""

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.conformance.fuzzing import NUM_INPUTS, SECONDS_PER_INPUT, Tally, check_answer
from tests.conformance.mutations import GeneratedRequest, reads, requests
from tests.conformance.test_fuzz import create_resources

NUM_MUTATIONS = NUM_INPUTS // 2
_ROUND = 300
"""Inputs between which resources are created anew: some inputs delete them."""


@pytest.mark.usefixtures("worker")
@pytest.mark.timeout(NUM_MUTATIONS * SECONDS_PER_INPUT + 120)
def test_no_mutation_of_a_request_breaks_the_server(http: FlaskClient) -> None:
    tally = Tally("mutations")
    while tally.num_inputs < NUM_MUTATIONS:
        ids = create_resources(http)
        send(http, ids, tally)
    tally.report()


def send(http: FlaskClient, ids: dict[str, list[str]], tally: Tally) -> None:
    """Send the requests of one round; fail at the first answer that is not as it must be."""

    @seed(tally.num_inputs)
    @settings(
        max_examples=_ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(request=st.one_of(requests(ids), requests(ids), reads(ids)))
    def ask(request: GeneratedRequest) -> None:
        answer = http.open(
            request.path,
            method=request.method,
            data=request.data,
            headers=request.headers,
        )
        tally.add(answer.status_code)
        if request.method != "HEAD":
            check_answer(answer)
        answer.close()

    ask()
