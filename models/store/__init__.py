"""The only code that speaks SQL. Every statement names the project."""
