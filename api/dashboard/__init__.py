"""Dashboard: pages for people over the same services as the HTTP API, rendered on the server."""
