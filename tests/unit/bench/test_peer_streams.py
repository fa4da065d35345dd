"""Parsers of the streams of each peer's server, at any chunk boundaries."""

from collections.abc import Callable

import pytest

from bench.client.streams import Stream
from bench.peers.servers.http import Answer, chat_answer, responses_answer
from bench.server import BenchError

NAMED = (
    b"HTTP/1.0 200 OK\r\n\r\n"
    b'event: response.created\ndata: {"type":"response.created","response":{"usage":null}}\n\n',
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",',
    b'"delta":"a"}\n\nevent: response.output_text.delta\n',
    b'data: {"type":"response.output_text.delta","delta":"b"}\n\n'
    b'event: response.incomplete\ndata: {"type":"response.incomplete","response":'
    b'{"usage":{"output_tokens":2}}}\n\n',
)
UNNAMED = (
    b'data: {"type":"response.created","response":{}}\n\n',
    b'data: {"type":"response.in_progress"}\n\n',
    b'data: {"type":"response.output_text.delta","delta":"a"}\n\n',
    b'data: {"type":"response.completed","response":{"usage":{"output_tokens":2}}}\n\n',
)
CHAT = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n',
    b'1f\r\ndata: {"choices":[{"delta":',
    b'{"content":"a"}}],"usage":null}\n\n\r\n',
    b'data: {"choices":[],"usage":{"completion_tokens":2}}\n\ndata: [DONE]\n\n',
)


@pytest.mark.parametrize(
    ("read", "chunks"),
    [(responses_answer, NAMED), (responses_answer, UNNAMED), (chat_answer, CHAT)],
)
def test_the_first_token_is_there_with_the_end_of_its_event(
    read: Callable[[Stream], Answer], chunks: tuple[bytes, ...]
) -> None:
    stream = Stream(sent_at=0.0, chunks=list(chunks), stamps=[1.0, 2.0, 3.0, 4.0])

    assert read(stream) == Answer(first_token_at=3.0, num_tokens=2)


@pytest.mark.parametrize("read", [responses_answer, chat_answer])
def test_an_error_in_place_of_a_stream_is_told(read: Callable[[Stream], Answer]) -> None:
    stream = Stream(sent_at=0.0, chunks=[b'{"error": "no such model"}'], stamps=[1.0])

    with pytest.raises(BenchError, match="no such model"):
        read(stream)


@pytest.mark.parametrize(("read", "chunks"), [(responses_answer, NAMED), (chat_answer, CHAT)])
def test_a_stream_that_breaks_off_is_none(
    read: Callable[[Stream], Answer], chunks: tuple[bytes, ...]
) -> None:
    stream = Stream(sent_at=0.0, chunks=list(chunks[:-1]), stamps=[1.0, 2.0, 3.0])

    with pytest.raises(BenchError):
        read(stream)
