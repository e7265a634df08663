"""What is shared on a hub on loopback, and one small experiment."""

from tests.hub.conftest import hub, merged, recipe_file, rvec, shared, vector  # noqa: F401
from tests.report.conftest import folder, model, results  # noqa: F401
