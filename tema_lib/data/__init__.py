"""Raw purchases -> interactions -> two-domain sequences (notebook 01)."""
