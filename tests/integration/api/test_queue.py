"""GET /v1/queue: what a project has waiting and running."""

from flask.testing import FlaskClient

from tests.integration.api.requests import parsed
from tests.integration.desk import Desk


def test_each_model_has_a_queue(http: FlaskClient, desk: Desk) -> None:
    oldest = desk.create()
    desk.create(model="other")
    desk.create(store=False, parameters={})
    desk.create()
    desk.finish(desk.running())
    desk.claim()
    desk.sql("UPDATE responses SET created_at = now() - interval '90 s' WHERE status = 'queued'")
    desk.create()

    answer = parsed(http.get("/v1/queue"))

    assert answer["object"] == "list"
    other, scripted = answer["data"]
    assert oldest.model == "scripted"
    assert (scripted["model"], scripted["num_queued"], scripted["num_in_progress"]) == (
        "scripted",
        3,
        1,
    )
    assert 90 <= scripted["oldest_queued_seconds"] < 150
    assert (other["model"], other["num_queued"], other["num_in_progress"]) == ("other", 1, 0)


def test_nothing_waits_of_a_model_that_only_runs(http: FlaskClient, desk: Desk) -> None:
    desk.running()

    [queue] = parsed(http.get("/v1/queue"))["data"]

    assert (queue["num_queued"], queue["oldest_queued_seconds"]) == (0, None)


def test_without_responses_there_are_no_queues(http: FlaskClient) -> None:
    assert parsed(http.get("/v1/queue"))["data"] == []
