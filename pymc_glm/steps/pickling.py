"""Step methods that are pickled without their model."""

from pymc.step_methods.compound import BlockedStep

__all__ = ["reduce_without_model"]


def _blank(kind: type) -> BlockedStep:
    return object.__new__(kind)


def reduce_without_model(step: BlockedStep) -> tuple:
    """Pickle a step by its state alone.

    ``BlockedStep`` keeps its arguments, the model among them, to be called again when unpickled;
    with the model, all its data would go to every process.
    """
    state = step.__getstate__() | {"_BlockedStep__newargs": ((), {})}
    return _blank, (type(step),), state
