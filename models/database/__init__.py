"""The connection pool and the statement timeout."""
