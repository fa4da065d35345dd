"""Client program on the session helper of the official Python client for WebSockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI
from openai.lib.responses_websocket import (
    AsyncResponsesWebSocketLane,
    AsyncResponsesWebSocketSession,
    ResponsesWebSocketLimits,
)
from scenarios import KEY, MODEL, QUESTION, main

LIMITS = ResponsesWebSocketLimits(
    max_lanes=8,
    max_events_per_lane=10_000,
    max_events=20_000,
    max_bytes_per_lane=1 << 24,
    max_bytes=1 << 25,
)


@asynccontextmanager
async def open_session(url: str) -> AsyncIterator[AsyncResponsesWebSocketSession]:
    async with (
        AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as client,
        client.responses.connect() as connection,
        AsyncResponsesWebSocketSession(connection, limits=LIMITS) as session,
    ):
        yield session


async def ask(lane: AsyncResponsesWebSocketLane, **fields: Any) -> Any:
    event = {"type": "response.create", "model": MODEL, "input": QUESTION, "temperature": 0}
    await lane.send(event | fields)
    return await lane.get_final_response()


async def chat(url: str) -> Any:
    async with open_session(url) as session:
        response = await ask(session.default)
    return {"id": response.id, "text": response.output_text}


async def lanes(url: str) -> Any:
    async with open_session(url) as session:
        opened = [session.lane(name) for name in ("planner", "research", "critic")]
        responses = await asyncio.gather(
            *(ask(lane, store=False, instructions=f"You are {n}.") for n, lane in enumerate(opened))
        )
        fork = await ask(
            session.lane("fork"), store=False, previous_response_id=responses[0].id, input="Why?"
        )
    return {
        "statuses": [response.status for response in responses],
        "texts": [response.output_text for response in responses],
        "forked": fork.previous_response_id == responses[0].id,
    }


async def warm_up(url: str) -> Any:
    instructions = "Answer every question with one short sentence, and be polite. " * 8
    async with open_session(url) as session:
        lane = session.lane("main")
        warm = await ask(lane, generate=False, input=[], instructions=instructions)
        answer = await ask(lane, previous_response_id=warm.id, instructions=instructions)
    return {
        "warm": {"status": warm.status, "output": warm.output, "usage": warm.usage.to_dict()},
        "cached_tokens": answer.usage.input_tokens_details.cached_tokens,
        "text": answer.output_text,
    }


async def steering(url: str) -> Any:
    async with open_session(url) as session:
        await session.default.send(
            {"type": "response.steer", "previous_response_id": "resp_1", "input": "Go on."}
        )
        event = await session.default.recv()
        response = await ask(session.default)
    return {"type": event.type, "code": event.error.code, "text": response.output_text}


if __name__ == "__main__":
    main(chat, lanes, warm_up, steering)
