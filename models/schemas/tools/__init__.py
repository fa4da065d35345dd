"""Types of tools: for each the tool, its choice, its items and its events."""
