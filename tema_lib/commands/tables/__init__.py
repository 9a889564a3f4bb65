"""Markdown tables of README and docs/, from the records in results/."""
