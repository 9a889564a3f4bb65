"""Data sets by their source: the synthetic one, Amazon's releases, published formats."""
