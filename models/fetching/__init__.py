"""Requests to URLs that clients choose, protected against server-side request forgery (SSRF)."""
