"""Arrays that worker processes read from one file, however the processes are started."""

import contextlib
import mmap
import os
import pickle
import tempfile
import weakref
from itertools import pairwise

import numpy as np

__all__ = ["Shared"]

_ALIGNED = 64  # bytes


class Shared[T]:
    """A value with large arrays, pickled as the name of a file that holds them.

    When it is first pickled, its arrays are written to a temporary file. Every process that
    unpickles it maps that file, so that all of them share one copy in memory; what a process writes
    into the arrays, others do not see. The file is deleted with the object that wrote it.

    Parameters
    ----------
    value : Any
        Anything that can be pickled, such as a NamedTuple of arrays.

    Examples
    --------
    >>> import pickle
    >>> import numpy as np
    >>> from pymc_glm.graph.shared import Shared
    >>> shared = Shared(np.arange(100_000))
    >>> message = pickle.dumps(shared)
    >>> len(message) < 1000, int(pickle.loads(message).value[-1])
    (True, 99999)
    """

    def __init__(self, value: T):
        self.value = value
        self._message: tuple | None = None

    def __reduce__(self) -> tuple:
        """Pickle the name of the file and everything but the arrays."""
        if self._message is None or not os.path.exists(self._message[0]):
            self._message = self._write()
        return _attach, self._message

    def _write(self) -> tuple:
        buffers: list[pickle.PickleBuffer] = []
        header = pickle.dumps(self.value, protocol=5, buffer_callback=buffers.append)
        views = [buffer.raw() for buffer in buffers]
        starts = np.cumsum([0, *(-(-len(v) // _ALIGNED) * _ALIGNED for v in views)]).tolist()
        descriptor, path = tempfile.mkstemp(prefix="pymc_glm-")
        weakref.finalize(self, _delete, path, os.getpid())
        with os.fdopen(descriptor, "wb") as file:
            for start, view in zip(starts, views, strict=False):
                file.seek(start)
                file.write(view)
            file.truncate(max(starts[-1], 1))
        return path, header, starts, [len(view) for view in views]


def _delete(path: str, process: int) -> None:
    """Delete a file that this process wrote; a fork has the object but must leave the file."""
    if os.getpid() == process:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _attach(path: str, header: bytes, starts: list[int], sizes: list[int]) -> Shared:
    with open(path, "rb") as file:
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    parts = [mapped[a : a + size] for (a, _), size in zip(pairwise(starts), sizes, strict=True)]
    return Shared(pickle.loads(header, buffers=parts))
