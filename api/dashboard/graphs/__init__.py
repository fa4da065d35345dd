"""Graphs of the last day: figures from the readings that maintenance writes, drawn as SVG."""
