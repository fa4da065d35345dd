"""Attacks of one client, and what another one sees of them."""
