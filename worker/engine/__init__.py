"""Pure compute: generation requests in, tokens out; no HTTP, no queue, no database."""
