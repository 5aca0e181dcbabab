"""For the tests and for `pytest --nbval notebooks/`, whose kernels take over what stands in the environment."""

from __future__ import annotations

import os


def pytest_configure() -> None:
    """Keep no progress file: whoever tests here may be a learner too, and outputs must not depend on that."""
    os.environ["PIWSL_LAB_PROGRESS"] = "off"
