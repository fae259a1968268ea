"""Where post neurons are moved: an engine holds the data and runs the kernels over them."""

from pymc_glm.engines.choosing import ENGINES, check_engine, engine, engine_name, make_engine
from pymc_glm.engines.engine import (
    EdgeCounts,
    Engine,
    Given,
    Network,
    NetworkGradient,
    PathChange,
)
from pymc_glm.engines.expansion import Averages, metric_at
from pymc_glm.engines.threads import ThreadsEngine

__all__ = [
    "ENGINES",
    "Averages",
    "EdgeCounts",
    "Engine",
    "Given",
    "Network",
    "NetworkGradient",
    "PathChange",
    "ThreadsEngine",
    "check_engine",
    "engine",
    "engine_name",
    "make_engine",
    "metric_at",
]
