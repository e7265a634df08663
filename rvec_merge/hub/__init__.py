"""Sharing on the Hub: recipes, vectors, merges and results; all HTTP is huggingface_hub's."""
