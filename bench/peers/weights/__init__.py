"""The same weights in the formats of the peers."""
