"""The commands of `antiphon` that need more than a call."""
