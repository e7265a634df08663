"""Tasks whose items are made, not stored: any seed gives a set that no model has read."""
