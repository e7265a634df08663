"""`rvec merge` and `rvec verify`, from end to end."""
