"""The engine that runs on a GPU if there is one; see `JaxEngine`."""

try:
    import jax  # noqa: F401
except ImportError as error:
    raise ImportError(
        "engine: 'jax' needs JAX, which is not installed; pip install \"pymc_glm[jax]\", with "
        '"jax[cuda13]" for an NVIDIA GPU.'
    ) from error

from pymc_glm.engines.jax.engine import JaxEngine

__all__ = ["JaxEngine"]
