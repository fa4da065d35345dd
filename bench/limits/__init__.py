"""Limits of projects: a flood from one key beside another, and what limits cost."""
