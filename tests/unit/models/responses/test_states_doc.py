"""Agreement of docs/states.md with the code: its diagram and its table match `TRANSITIONS`."""

import re
from pathlib import Path

from models.responses.status import TERMINAL, TRANSITIONS
from models.store.claims import Claims
from models.store.finish import Finisher
from models.store.reaper import Reaper
from models.store.responses import Responses

_TEXT = (Path(__file__).parents[4] / "docs" / "states.md").read_text()
_OUTSIDE = "[*]"
_MOVES = sorted(
    (str(source), str(target)) for source, following in TRANSITIONS.items() for target in following
)


def _drawing() -> list[tuple[str, str, list[str]]]:
    """Return each edge of the diagram: from, to, verbs."""
    [block] = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", _TEXT, re.DOTALL)
    edges = [re.fullmatch(r" +(\S+) --> (\S+): (.+)", line) for line in block.splitlines()]
    return [(edge[1], edge[2], edge[3].split(", ")) for edge in edges if edge]


def _inner(edges: list[tuple[str, str, list[str]]]) -> list[tuple[str, str]]:
    return sorted(
        (source, target) for source, target, _ in edges if _OUTSIDE not in (source, target)
    )


def test_the_drawing_has_exactly_the_moves_of_the_table() -> None:
    assert _inner(_drawing()) == _MOVES


def test_no_line_of_the_drawing_is_left_unread() -> None:
    num_arrows = _TEXT.count("-->")

    assert len(_drawing()) == num_arrows


def test_every_move_has_one_line_that_explains_it() -> None:
    explained = re.findall(r"^\| (\w+) → (\w+) \| [^|]+ \| [^|]+ \|$", _TEXT, re.MULTILINE)

    assert sorted(explained) == _MOVES


def test_every_verb_is_a_method_of_the_store() -> None:
    verbs = {verb for _, _, verbs in _drawing() for verb in verbs}

    assert {
        v for v in verbs if not any(hasattr(k, v) for k in (Claims, Finisher, Responses, Reaper))
    } == set()


def test_a_response_begins_queued_and_expires_only_when_it_has_ended() -> None:
    begins = [target for source, target, _ in _drawing() if source == _OUTSIDE]
    expires = {source for source, _, verbs in _drawing() if "expire" in verbs}

    assert begins == ["queued"]
    assert expires == {str(status) for status in TERMINAL}


def test_a_response_can_be_deleted_in_every_state() -> None:
    deleted = [source for source, target, verbs in _drawing() if "delete" in verbs]

    assert sorted(deleted) == sorted(map(str, TRANSITIONS))
