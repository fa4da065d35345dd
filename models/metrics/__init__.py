"""Metrics: what there is to measure, counted in every process and summed in Redis for /metrics."""
