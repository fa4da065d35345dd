"""Bodies of the admin API: projects, their limits, keys, the audit trail and workers."""
