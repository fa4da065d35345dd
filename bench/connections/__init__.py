"""Many open streams on one API process, and what else it serves meanwhile."""
