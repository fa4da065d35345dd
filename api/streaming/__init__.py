"""Events on their way to clients: server-sent events and WebSocket."""
