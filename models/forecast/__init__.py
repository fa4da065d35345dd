"""Forecasts of when queued responses are claimed: their position in the queue, and their wait."""
