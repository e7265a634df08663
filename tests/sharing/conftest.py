"""The hub on loopback, its client, and what is shared there."""

from tests.hub.conftest import hub, merged, recipe_file, rvec, shared, vector  # noqa: F401
