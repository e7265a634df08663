"""The embedded family: its language, how its models were trained, and what they show."""
