"""Looking inside: attention records, occlusion, figures, and an explorer (notebook 05)."""
