"""The engine that runs on a GPU if there is one; see `JaxEngine`."""

try:
    import jax  # noqa: F401
except ImportError as error:
    raise ImportError(
        "engine: 'jax' needs JAX, which is not installed; install the extra pymc_glm[jax], and "
        "jax[cuda13] as well for an NVIDIA GPU, or use engine='threads'."
    ) from error

from pymc_glm.engines.jax.engine import JaxEngine

__all__ = ["JaxEngine"]
