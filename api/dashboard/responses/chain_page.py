"""Tree of the turns around a response, and the items of a conversation."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from flask import request

from api.access.sessions import PATH
from api.dashboard.blueprint import ONE, blueprint
from api.dashboard.items import view_item
from api.dashboard.pages import render
from api.dashboard.responses.lookup import find
from api.services import project_id, services
from api.streaming.temporary import find_row
from models.errors import ConversationNotFoundError, InvalidRequestError
from models.ids import parse_conversation_id, response_wire_id, time_of_id
from models.store.dashboard.chains import Turn
from models.store.item_pages import PageQuery

MAX_INDENT = 6
_PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One turn of a tree as a page shows it."""

    turn: Turn
    indent: int
    """Number of forks before it; a chain without forks is not indented."""

    @property
    def id(self) -> str:
        """Id of the response."""
        return response_wire_id(self.turn.id)

    @property
    def created_at(self) -> object:
        """Time of its creation."""
        return time_of_id(self.turn.id)


@blueprint.get(f"{ONE}/chain")
def show_chain(response_id: str) -> str:
    """Show the turns before and after a response as a tree."""
    record = find(find_row, response_id)
    turns = services().store.chains.around(project_id(), record.id)
    return render("chain.html", branches=list(_branches(turns)), shown=response_id)


@blueprint.get(f"{PATH}/conversations/<string:conversation_id>")
def show_conversation(conversation_id: str) -> str:
    """Show the items of a conversation, oldest first."""
    store, found = services().store.conversations, parse_conversation_id(conversation_id)
    if found is None or store.get(project_id(), found) is None:
        raise ConversationNotFoundError(conversation_id)
    query = PageQuery(limit=_PAGE, after=request.args.get("after") or None)
    page = store.pages.read(project_id(), found, query)
    if page is None:
        raise InvalidRequestError("No item has this id.", param="after")
    return render(
        "conversation.html",
        conversation_id=conversation_id,
        items=[view_item(item) for item in page.items],
        next_after=page.items[-1]["id"] if page.has_more else "",
    )


def _branches(turns: Sequence[Turn]) -> Iterator[Branch]:
    """Yield the turns of a tree, each before those that follow on it, and the oldest first."""
    if not turns:
        return
    following: defaultdict[UUID | None, list[Turn]] = defaultdict(list)
    for turn in turns[1:]:
        following[turn.previous_response_id].append(turn)
    waiting = [Branch(turn=turns[0], indent=0)]
    while waiting:
        branch = waiting.pop()
        yield branch
        later = sorted(following[branch.turn.id], key=lambda turn: turn.id, reverse=True)
        indent = min(branch.indent + (len(later) > 1), MAX_INDENT)
        waiting += [Branch(turn=turn, indent=indent) for turn in later]
