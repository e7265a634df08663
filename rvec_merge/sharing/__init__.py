"""Sharing on the Hub: recipes, vectors, merges and results, pushed, pulled and found."""
