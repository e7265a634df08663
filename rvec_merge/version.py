"""The version, at the bottom of the house, so that no room needs the package's face for it."""

__version__ = "0.2.0"
