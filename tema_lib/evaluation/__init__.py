"""Ranks of the targets, and the metrics and intervals that derive from them (notebook 06)."""
