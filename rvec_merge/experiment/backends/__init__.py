"""What a cell is evaluated with: a model in memory whose weights change in place."""
