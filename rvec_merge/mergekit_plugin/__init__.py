"""The merge method in mergekit: its parameters, registration, and a stock run seen from inside."""
