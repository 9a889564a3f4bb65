"""Explanations: attention, occlusion, Shapley values, edited histories, figures and explorers."""
