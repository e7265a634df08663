"""What runs inside the fresh interpreter of a generated program; standard library alone."""
