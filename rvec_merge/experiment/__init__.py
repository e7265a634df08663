"""The controlled experiment: its plan, conditions, cells and their results on disk."""
