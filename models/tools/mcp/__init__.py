"""MCP tools: which servers may be called, what the model may call, and the text of results."""
