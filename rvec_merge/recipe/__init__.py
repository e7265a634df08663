"""Recipes: strict reading, roles and pairs, the bundled ones."""
