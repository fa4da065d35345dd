"""Events of open streams, published at a steady rate as a worker would publish them."""

import random
import time

import redis

from bench.connections.holder import OpenStream
from bench.server import BenchError, Server
from models.ids import parse_response_id
from models.streams.event_log import events_channel

_TICK_S = 0.01
_EVENT = (
    '{{"type":"response.output_text.delta","sequence_number":{number},"item_id":"msg_0",'
    '"output_index":0,"content_index":0,"delta":"{stamp}","logprobs":[]}}'
)


def publish(server: Server, streams: list[OpenStream], *, per_second: float, seconds: float) -> int:
    """Publish events of random streams; return their number."""
    if server.redis_url is None:
        raise BenchError("REDIS_URL must be set to publish events")
    client = redis.Redis.from_url(server.redis_url)
    numbers = [stream.next_number for stream in streams]
    channels = [_channel(stream) for stream in streams]
    began, num_published = time.monotonic(), 0
    while (elapsed := time.monotonic() - began) < seconds:
        pipeline = client.pipeline(transaction=False)
        for _ in range(int(elapsed * per_second) - num_published):
            index = random.randrange(len(streams))
            event = _EVENT.format(number=numbers[index], stamp=time.monotonic_ns())
            pipeline.publish(channels[index], f"{numbers[index]} {event}")
            numbers[index] += 1
            num_published += 1
        pipeline.execute()
        time.sleep(_TICK_S)
    client.close()
    return num_published


def _channel(stream: OpenStream) -> str:
    response_id = parse_response_id(stream.response_id)
    if response_id is None:
        raise BenchError(f"{stream.response_id} is no id of a response")
    return events_channel(response_id)
