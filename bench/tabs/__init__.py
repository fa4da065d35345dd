"""Cost of open tabs of the dashboard: tokens per second with and without their polling."""
