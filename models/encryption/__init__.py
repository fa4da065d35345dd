"""Encryption of the reasoning and compaction items that clients send back."""
