"""Conversion of the weights into the formats of the peers."""
