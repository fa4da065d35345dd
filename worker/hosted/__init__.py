"""Tools that the server runs between two turns of a response: web search and MCP tools."""
