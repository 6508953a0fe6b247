"""library_test.py LIBCKP_PEER.SO: saves, loads and finds through the shared library, with no package at all."""
import ctypes
import sys
import tempfile
import unittest
from pathlib import Path

from library import Library, TensorList, TensorSpec

LIBRARY = Library(sys.argv.pop(1))


class Floats:
    """Float32 numbers in memory of their own."""

    def __init__(self, values: list[float]):
        self.memory = (ctypes.c_float * len(values))(*values)

    def spec(self, name: str, shape: list[int], strides: list[int]) -> TensorSpec:
        return TensorSpec(name, "float32", shape, strides, ctypes.addressof(self.memory), ctypes.sizeof(self.memory))


class LibraryTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.store = str(Path(folder.name) / "store")

    def save(self, states: list[list[float]], losses: list[float], synchronous: bool = False) -> None:
        live = Floats(states[0])
        described = TensorList([live.spec("model/weight", [2, 3], [3, 1])])
        trainer = LIBRARY.start(self.store, "bench", synchronous=synchronous)
        for epoch, (state, loss) in enumerate(zip(states, losses), start=1):
            live.memory[:] = state
            trainer.save(described, epoch, loss)
            live.memory[:] = [-1.0] * 6  # what was handed over must not be this
        trainer.wait()
        trainer.finish()

    def load(self, address: str, name: str = "model/weight") -> list[float]:
        target = Floats([0.0] * 6)
        LIBRARY.load(self.store, address, TensorList([target.spec(name, [2, 3], [3, 1])]))
        return list(target.memory)

    def test_loads_what_was_there_when_save_was_called(self):
        states = [[float(10 * epoch + i) for i in range(6)] for epoch in range(3)]
        for synchronous in (False, True):
            self.save(states, [0.5, 0.25, 0.75], synchronous)
            for epoch, state in enumerate(states, start=1):
                self.assertEqual(self.load(f"bench@epoch:{epoch}"), state)
            self.store += "-2"

    def test_strides_are_the_callers(self):
        self.save([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]], [0.5])
        transposed = Floats([0.0] * 6)
        LIBRARY.load(self.store, "bench@latest", TensorList([transposed.spec("model/weight", [2, 3], [1, 2])]))
        self.assertEqual(list(transposed.memory), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0])

    def test_finds_the_best_epoch_also_with_a_new_index(self):
        self.save([[0.0] * 6] * 3, [0.5, 0.25, 0.75])
        self.assertEqual(LIBRARY.epoch(self.store, "bench@best"), 2)
        self.assertEqual(LIBRARY.rebuild_index(self.store), 3)
        self.assertEqual(LIBRARY.epoch(self.store, "bench@best"), 2)

    def test_a_failure_is_raised_with_its_message(self):
        self.save([[0.0] * 6], [0.5])
        with self.assertRaisesRegex(RuntimeError, "model/weigth"):
            self.load("bench@latest", "model/weigth")
        with self.assertRaisesRegex(RuntimeError, "float33"):
            wrong = Floats([0.0]).spec("a", [1], [1])._replace(dtype="float33")
            LIBRARY.start(self.store, "other").save(TensorList([wrong]), 1, 0.5)

    def test_copy_and_hash_cover_every_byte(self):
        count = 3 * 2**20 // 4 + 5  # over three pieces and a rest
        source, target = Floats([1.0] * count), Floats([0.0] * count)
        one, other = (TensorList([x.spec("a", [count], [1])]) for x in (source, target))
        LIBRARY.copy(one, other, 2)
        self.assertEqual(bytes(source.memory), bytes(target.memory))
        before = LIBRARY.hash(other, 2)
        self.assertEqual(before, LIBRARY.hash(one, 1))
        target.memory[count - 1] = 2.0
        self.assertNotEqual(before, LIBRARY.hash(other, 2))


if __name__ == "__main__":
    unittest.main()
