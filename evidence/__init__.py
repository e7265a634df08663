"""Experiments on models that people have, each from a command."""
