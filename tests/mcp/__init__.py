"""A real MCP server in a process of its own, whose tools leave traces that tests can count."""
