"""Data access layer, the only code with SQL. Every statement names the project."""
