"""Figures, widgets and HTML pages of explanations."""
