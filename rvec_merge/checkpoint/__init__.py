"""Checkpoints on disk: their headers, reading their tensors, writing new ones."""
