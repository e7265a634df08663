"""SmolLM2-135M-Instruct: a pre-trained model, two adapters as donors, and what the vector does."""
