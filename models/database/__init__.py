"""Connection pool of Postgres, and its statement timeout."""
