"""Everything that is checked before a row is written."""
