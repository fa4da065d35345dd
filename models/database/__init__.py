"""Connection pools of Postgres, the reach of statements, and their timeout."""
