"""Webhook messages, and HTTP requests that are safe from SSRF."""
