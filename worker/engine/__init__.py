"""Pure compute: requests for tokens in, tokens out; no HTTP, no queue, no database."""
