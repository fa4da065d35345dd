"""Types, rules and storage that API and workers share."""
