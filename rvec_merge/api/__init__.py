"""The verbs as Python functions: what ``rvec_merge`` offers, and the command line prints."""
