"""Text formats in which models write tool calls: one file each, and one row in `table.py`."""
