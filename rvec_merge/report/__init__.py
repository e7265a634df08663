"""What people look at: the report page, the figures, the model card."""
