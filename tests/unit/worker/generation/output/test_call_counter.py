"""The calls of a response are counted within its limits."""

from collections import Counter

from models.schemas.tools.call_items import HostedType
from worker.generation.output.call_counter import CallCounter


def limits(num_mcp_calls: int) -> Counter[HostedType]:
    return Counter({"mcp_call": num_mcp_calls})


def test_it_works() -> None:
    counter = CallCounter(limits(2), None)

    counter.add("mcp_call")
    assert counter.can_call("mcp_call")
    counter.add("mcp_call")

    assert not counter.can_call("mcp_call")
    assert not counter.can_call("web_search_call")
    assert counter.can_call(None)
    assert counter.num_hosted["mcp_call"] == 2


def test_calls_of_all_types_count_towards_the_limit_of_all() -> None:
    counter = CallCounter(limits(5), 4)

    counter.add("mcp_call", 2)
    counter.add(None)
    assert counter.can_call("mcp_call")
    counter.add(None)

    assert not counter.can_call("mcp_call")
    assert not counter.can_call(None)
