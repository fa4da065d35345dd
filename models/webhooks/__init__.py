"""Signed webhook messages, and an HTTP client that is safe from SSRF."""
