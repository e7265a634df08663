"""The arithmetic on tensors: one definition, blockwise, rounded once."""
