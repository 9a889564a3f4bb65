"""Item representation, attention, and the systems that are compared (notebooks 03 and 04)."""
