"""Servers and engines that are compared, one file each."""
