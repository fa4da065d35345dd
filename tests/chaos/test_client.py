"""What a chaos client does with a request that is never accepted."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.client import Client
from tests.chaos.journal import Record
from tests.chaos.plan import Job
from tests.chaos.web import Answer, Http

JOB = Job(number=0, max_tokens=1, background=False, stream=False, store=False, posts_twice=True)
NOT_KEPT = Answer(404, {"error": {"code": "response_not_found"}}, None)
AWAY = Answer(503, {"error": {"code": "service_unavailable"}}, "1")


class Refusing(Http):
    """API that answers everything alike."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("127.0.0.1", 1)
        self._answer = answer
        self.num_posts = 0

    @contextmanager
    def stream(self, *_arguments: object, **_named: object) -> Iterator[Answer]:
        self.num_posts += 1
        yield self._answer


def run(web: Refusing, *, num_posts: int) -> Record:
    """Run a job until it is given up, or has been sent so often."""
    record = Record(JOB)
    Client(web, lambda: web.num_posts >= num_posts, "seed").run(JOB, None, record)
    return record


def test_a_request_whose_unstored_answer_was_lost_is_given_up() -> None:
    web = Refusing(NOT_KEPT)

    record = run(web, num_posts=3)

    assert (web.num_posts, record.response_id, record.bad_answers) == (1, None, [])


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_is_never_accepted_is_named(stream: bool) -> None:
    web = Refusing(AWAY)
    record = Record(Job(number=0, max_tokens=1, background=False, stream=stream, store=True))

    Client(web, lambda: web.num_posts >= 2, "seed").run(record.job, None, record)

    assert web.num_posts == 2
    assert record.bad_answers == ["not answered long after the last fault"]
