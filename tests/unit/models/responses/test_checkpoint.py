from models.responses.checkpoint import Checkpoint
from models.responses.tokens import GeneratedToken


def tokens_of(*pairs: tuple[int, int]) -> tuple[GeneratedToken, ...]:
    return tuple(GeneratedToken(*pair) for pair in pairs)


_TOKENS = tokens_of((0, 1), (1, 9), (0, 2), (15, 2**27 - 1), (0, 151_935), (15, ~7), (0, ~0))
_REACHED = Checkpoint(next_sequence_number=7, tokens=_TOKENS)


def test_what_is_written_is_read() -> None:
    assert Checkpoint.from_bytes(_REACHED.to_bytes()) == _REACHED


def test_a_log_that_has_more_is_gone_on_from() -> None:
    assert _REACHED.beyond([*_TOKENS, GeneratedToken(1, 4)]) == ()


def test_a_log_that_has_less_is_completed_as_the_tokens_came() -> None:
    assert _REACHED.beyond(tokens_of((1, 9), (0, 1))) == _TOKENS[2:]
    assert _REACHED.beyond([]) == _TOKENS


def test_a_log_with_other_tokens_is_gone_on_from() -> None:
    assert _REACHED.beyond(tokens_of((0, 1), (0, 3))) == ()
    assert _REACHED.beyond(tokens_of((2, 1))) == ()
