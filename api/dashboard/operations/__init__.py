"""Pages about the server itself: workers, projects, keys, the audit trail, and webhooks."""
