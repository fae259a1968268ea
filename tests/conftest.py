"""What tests of figures share: no display, no figures left open, settings as they were."""

import sys

import matplotlib as mpl
import pytest

mpl.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    """Close the figures that a test has made."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def settings_stay():
    """Check that a test does not change Matplotlib's settings."""
    settings = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == settings
