"""The vector file: a reasoning vector on disk, without its donors."""
