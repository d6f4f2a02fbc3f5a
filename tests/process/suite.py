"""unittest with what the process tests share: skip code 77, one class per listener and cache mode, a seed on show."""
import os
import random
import shutil
import sys
import unittest

import node

LISTENERS = ("unix", "tcp")
CACHES = ("buffered", "direct")


def need(*tools):
    """Skips the whole file (77) where a tool is missing."""
    missing = [tool for tool in tools if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None]
    if missing:
        print(f"skipped: needs {', '.join(missing)}")
        sys.exit(node.SKIP)


def need_nbd():
    try:
        import nbd
        return nbd
    except ImportError:
        print("skipped: needs Python's nbd module (Debian: python3-libnbd)")
        sys.exit(node.SKIP)


def on_every_listener(cls):
    """Class decorator: one test class for each of {unix, tcp} x {buffered, direct}, with `listener` and `cache` set."""
    module = sys.modules[cls.__module__]
    for listener in LISTENERS:
        for cache in CACHES:
            name = f"{cls.__name__}_{listener}_{cache}"
            made = type(name, (cls, unittest.TestCase), {"listener": listener, "cache": cache, "__module__": cls.__module__})
            setattr(module, name, made)
    return cls


class OneNode:
    """Mixin: one node with a volume `db` for the whole class; it must still run at the end and stop cleanly."""
    listener, cache = "unix", "buffered"
    size = 64 * node.MiB

    @classmethod
    def setUpClass(cls):
        cls.node = node.Node({"db": cls.size}, cache=cls.cache, config=getattr(cls, "config", None)).start()
        cls.uri = cls.node.uri("db", cls.listener)

    @classmethod
    def tearDownClass(cls):
        if not cls.node.alive():
            raise AssertionError(f"gnomond died: {cls.node.process.returncode}\n{cls.node.log()[-4000:]}")
        code = cls.node.stop()
        assert code == 0, f"gnomond ended with {code}\n{cls.node.log()[-3000:]}"

    def tearDown(self):
        assert self.node.alive(), f"gnomond died: {self.node.process.returncode}\n{self.node.log()[-4000:]}"


def seeded():
    """A random generator whose seed is printed; GNOMON_SEED=N reruns it."""
    seed = int(os.environ.get("GNOMON_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed: GNOMON_SEED={seed}", flush=True)
    return random.Random(seed)


def main():
    """Runs the calling file's tests. Exit 0, 1, or 77 if there was nothing but skips."""
    if not os.access(node.GNOMOND, os.X_OK):
        print(f"failed: there is no {node.GNOMOND}; build it or set GNOMON_BIN_DIR")
        sys.exit(1)
    outcome = unittest.main(module="__main__", verbosity=2, exit=False).result
    if not outcome.wasSuccessful():
        sys.exit(1)
    if outcome.testsRun == 0 or len(outcome.skipped) >= outcome.testsRun:
        sys.exit(node.SKIP)
    sys.exit(0)
