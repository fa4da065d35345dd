"""The tree of turns around a response, and the items of a conversation."""

import re

from models.responses.record import ResponseRecord
from tests.integration.api.requests import create, parsed, wait_for_end
from tests.integration.dashboard.conftest import SignIn
from tests.integration.dashboard.visitor import Visitor
from tests.integration.desk import Desk
from tests.integration.in_process import InProcessWorker

ATTACK = "<script>alert(1)</script>"
_TURN = re.compile(r'<li class="indent-(\d)">.*?responses/resp_([0-9a-f]{32})"( aria-current)?')


def turns_in(page: str) -> list[tuple[int, str, bool]]:
    return [(int(indent), hex, bool(shown)) for indent, hex, shown in _TURN.findall(page)]


def turn(desk: Desk, previous: ResponseRecord | None = None, **changes: str) -> ResponseRecord:
    return desk.create(previous_response_id=previous and previous.id, **changes)


def test_turns_are_a_tree_that_forks(visitor: Visitor, desk: Desk) -> None:
    first = turn(desk)
    second = turn(desk, first)
    third, other = turn(desk, second), turn(desk, second)
    last = turn(desk, third)
    turn(desk)  # of no tree

    page = visitor.page(f"/dashboard/responses/resp_{third.id.hex}/chain")

    assert turns_in(page) == [
        (0, first.id.hex, False),
        (0, second.id.hex, False),
        (1, third.id.hex, True),
        (1, last.id.hex, False),
        (1, other.id.hex, False),
    ]


def test_a_long_chain_begins_a_hundred_turns_before(visitor: Visitor, desk: Desk) -> None:
    chain = [turn(desk)]
    for _ in range(104):
        chain.append(turn(desk, chain[-1]))

    page = visitor.page(f"/dashboard/responses/resp_{chain[-1].id.hex}/chain")

    assert [found for _, found, _ in turns_in(page)] == [each.id.hex for each in chain[4:]]


def test_an_earlier_turn_that_is_gone_begins_the_tree_anew(visitor: Visitor, desk: Desk) -> None:
    first = turn(desk)
    second = turn(desk, first)
    desk.store.responses.delete(first.project_id, first.id)

    page = visitor.page(f"/dashboard/responses/resp_{second.id.hex}/chain")

    assert turns_in(page) == [(0, second.id.hex, True)]


def test_what_is_not_stored_has_no_turns(visitor: Visitor) -> None:
    response_id = create(visitor.http, store=False)["id"]

    assert "It is not stored" in visitor.page(f"/dashboard/responses/{response_id}/chain")


def test_a_tree_has_turns_of_its_own_project_alone(sign_in: SignIn, desk: Desk) -> None:
    theirs = turn(desk)
    mine = turn(desk, theirs, project_id=desk.add_project("mine"))
    turn(desk, mine)

    page = sign_in(project_id="mine").page(f"/dashboard/responses/resp_{mine.id.hex}/chain")

    assert turns_in(page) == [(0, mine.id.hex, True)]


def test_a_conversation_is_shown_as_text(visitor: Visitor, worker: InProcessWorker) -> None:
    message = {"role": "user", "content": ATTACK}
    made = visitor.http.post("/v1/conversations", json={"items": [message]})
    conversation_id = parsed(made)["id"]
    response = wait_for_end(visitor.http, create(visitor.http, conversation=conversation_id)["id"])
    path = f"/dashboard/conversations/{conversation_id}"
    assert path in visitor.page(f"/dashboard/responses/{response['id']}")

    page = visitor.page(path)

    assert ATTACK not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "This answer is scripted" in page


def test_a_long_conversation_has_pages(visitor: Visitor) -> None:
    items = [{"role": "user", "content": f"Item {number}."} for number in range(20)]
    conversation_id = parsed(visitor.http.post("/v1/conversations", json={"items": items}))["id"]
    path = f"/v1/conversations/{conversation_id}/items"
    for _ in range(2):
        visitor.http.post(path, json={"items": items})

    first = visitor.page(f"/dashboard/conversations/{conversation_id}")
    found = re.search(r'rel="next" href="([^"]+)"', first)

    assert found
    second = visitor.page(found[1])
    assert (first.count("<article"), second.count("<article")) == (50, 10)
    assert visitor.open(f"/dashboard/conversations/{conversation_id}?after=x").status_code == 400
    assert visitor.open("/dashboard/conversations/conv_x").status_code == 404
