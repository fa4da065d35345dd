"""Hosted MCP tools: listing and calling the tools of Model Context Protocol servers."""
