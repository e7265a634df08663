"""The merge method in mergekit: its parameters, registration, and a stock run seen from inside."""

# The module that checks a stock run while mergekit plans. It stands above this room, so that the
# face of the package names it here; Python imports that before any room.
stock_checks = ""
