"""Statements that only the dashboard makes."""
