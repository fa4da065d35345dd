"""Delivery of events to clients: server-sent events and WebSocket."""
