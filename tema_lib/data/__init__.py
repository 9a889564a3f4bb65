"""Raw interactions -> interactions -> two-domain sequences (notebook 01)."""
