"""Model families, a table per group, a family per row."""
