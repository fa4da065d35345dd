"""Commands for operators: projects, their keys, and the audit trail."""
