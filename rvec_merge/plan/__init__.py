"""What is merged with what, tensor by tensor."""
