"""The final answer of an output, as people and chat models write it, and whether it is right."""
