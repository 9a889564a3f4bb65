"""The official Amazon review files: fetched, read, and prepared as a data folder."""
