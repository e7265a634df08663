"""The streaming engine: mergekit's plan, executed block by block into preallocated files."""
