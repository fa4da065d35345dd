"""Client program on openai-agents, with a hosted MCP tool; `argv[2]` is the URL of its server."""

import sys
from typing import Any

from agents import Agent, HostedMCPTool, MCPToolApprovalRequest, Runner, set_tracing_disabled
from scenarios import QUESTION, main
from with_agents import make_agent

set_tracing_disabled(True)


def make_tool(**options: Any) -> HostedMCPTool:
    config = {"type": "mcp", "server_label": "tools", "server_url": sys.argv[2]}
    approval = "always" if "on_approval_request" in options else "never"
    return HostedMCPTool(tool_config={**config, "require_approval": approval}, **options)


async def run(agent: Agent) -> Any:
    result = await Runner.run(agent, QUESTION)
    items = [item.raw_item for item in result.new_items]
    kinds = [item["type"] if isinstance(item, dict) else item.type for item in items]
    return {"id": result.last_response_id, "items": kinds, "text": result.final_output}


async def called(url: str) -> Any:
    return await run(make_agent(url, tools=[make_tool()]))


async def streamed(url: str) -> Any:
    result = Runner.run_streamed(make_agent(url, tools=[make_tool()]), QUESTION)
    events = [
        event.data.type
        async for event in result.stream_events()
        if event.type == "raw_response_event"
    ]
    return {"events": events, "text": result.final_output}


async def approved(url: str) -> Any:
    def approve(request: MCPToolApprovalRequest) -> Any:
        return {"approve": request.data.name == "add"}

    return await run(make_agent(url, tools=[make_tool(on_approval_request=approve)]))


async def refused(url: str) -> Any:
    def refuse(request: MCPToolApprovalRequest) -> Any:
        return {"approve": False, "reason": f"{request.data.name} is not wanted"}

    return await run(make_agent(url, tools=[make_tool(on_approval_request=refuse)]))


if __name__ == "__main__":
    main(called, streamed, approved, refused)
