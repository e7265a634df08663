"""Repos of the Hub: named, pinned, listed, fetched and compared; all HTTP is huggingface_hub's."""
