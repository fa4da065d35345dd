"""Fair queueing: the order of claims over projects, and over the end users of each project."""
