"""Interactions and items as tables, sequences, splits and batches (notebook 01)."""
