"""Arrays that processes share through a file."""

import gc
import os
import pickle
from collections import namedtuple
from multiprocessing import get_context

import cloudpickle
import numpy as np
import pytest

from pymc_glm.graph.shared import Shared

Pair = namedtuple("Pair", "first second")
Nest = namedtuple("Nest", "pair label")


def make():
    arrays = np.arange(1001, dtype=np.int8), np.linspace(0, 1, 50_000).reshape(100, 500)
    return Shared(Nest(Pair(*arrays), "name"))


def files(message):
    return [part for part in pickle.loads(message)._message or ()]


@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_everything_comes_back(module):
    shared = make()
    message = module.dumps(shared)
    assert len(message) < 2000
    there = module.loads(message).value
    assert isinstance(there, Nest)
    assert there.label == "name"
    for ours, theirs in zip(shared.value.pair, there.pair, strict=True):
        np.testing.assert_array_equal(theirs, ours)
        assert theirs.dtype == ours.dtype
        assert theirs.flags.c_contiguous and theirs.flags.aligned


def test_a_value_without_arrays_and_empty_arrays():
    assert pickle.loads(pickle.dumps(Shared("alone"))).value == "alone"
    assert pickle.loads(pickle.dumps(Shared(np.empty((0, 3))))).value.shape == (0, 3)


def test_one_file_for_all_and_none_before_it_is_needed():
    shared = make()
    assert shared._message is None
    messages = [pickle.dumps(shared) for _ in range(3)]
    assert len(set(messages)) == 1
    path = shared._message[0]
    there = pickle.loads(messages[0])
    os.unlink(path)
    assert there.value.pair.second[-1, -1] == 1.0  # a mapping outlives the name
    assert pickle.loads(pickle.dumps(shared)).value.label == "name"  # written anew
    assert shared._message[0] != path


def test_writing_stays_at_home():
    shared = make()
    one, other = (pickle.loads(pickle.dumps(shared)) for _ in range(2))
    one.value.pair.first[0] = 77
    assert other.value.pair.first[0] == shared.value.pair.first[0] == 0


def test_the_file_goes_with_its_object():
    shared = make()
    pickle.dumps(shared)
    path = shared._message[0]
    assert os.path.exists(path)
    del shared
    gc.collect()
    assert not os.path.exists(path)


def _total(shared):
    path_was_shared = shared._message is None or os.path.exists(shared._message[0])
    total = float(shared.value.pair.second.sum())
    del shared
    gc.collect()
    return total, path_was_shared


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_other_processes_read_it_and_leave_the_file(start):
    shared = make()
    with get_context(start).Pool(2) as pool:
        results = pool.map(_total, [shared, shared])
    assert results == [(25_000.0, True)] * 2
    assert os.path.exists(shared._message[0])


def test_a_fork_leaves_the_file():
    shared = make()
    pickle.dumps(shared)
    child = os.fork()
    if child == 0:
        path = shared._message[0]
        del shared
        gc.collect()
        os._exit(0 if os.path.exists(path) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.path.exists(shared._message[0])
