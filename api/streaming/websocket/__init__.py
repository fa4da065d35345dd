"""WebSocket on /v1/responses: the same requests and events as over HTTP."""
