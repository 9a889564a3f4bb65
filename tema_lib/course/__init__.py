"""Graded assignments: student copies, a sandbox for what students hand in, marks and feedback."""
