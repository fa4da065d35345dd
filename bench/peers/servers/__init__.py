"""The servers and engines compared, one file each."""
