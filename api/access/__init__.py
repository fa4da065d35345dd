"""Authentication of requests: API keys, the scopes of routes, and revocation while they run."""
