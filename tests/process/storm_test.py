#!/usr/bin/python3
"""kill -9 under load, again and again: no acknowledged write may be lost. Buffered and O_DIRECT, one after another.

3 rounds each in a normal run, 100 with GNOMON_LONG=1 (or GNOMON_STORM_ROUNDS). GNOMON_SEED reruns a seed's load;
the moment of a kill depends on the machine, so a failure may need several tries.
"""
import os
import threading
import time
import unittest

import node
import suite

nbd = suite.need_nbd()
import stamped_load  # needs nbd

ROUNDS = int(os.environ.get("GNOMON_STORM_ROUNDS", 100 if node.LONG else 3))
SIZE = 32 * node.MiB
CONNECTIONS = 4


class storm(unittest.TestCase):
    def storm(self, cache):
        random_ = suite.seeded()
        load = stamped_load.Load(random_, SIZE, random_.randrange(1 << 63))
        served = node.Node({"db": SIZE}, cache=cache)
        starts = []
        undecided = 0
        with served:
            for number in range(ROUNDS):
                connections = []
                for _ in range(CONNECTIONS):  # all on one listener: the clients of a listener are one writing instance
                    connection = nbd.NBD()
                    connection.connect_uri(served.uri("db", suite.LISTENERS[number % 2]))
                    connections.append(connection)
                delay = random_.uniform(0.05, 1.5)
                killer = threading.Timer(delay, served.kill)
                before = load.acknowledged
                killer.start()
                load.run(connections, until=lambda: False)
                killer.join()
                del connections
                started = time.monotonic()
                served.start()
                starts.append(time.monotonic() - started)
                checker = nbd.NBD()
                checker.connect_uri(served.uri("db"))
                complaints = load.check(checker)
                checker.shutdown()
                undecided += load.undecided
                self.assertEqual(complaints[:20], [], f"round {number}: {len(complaints)} sectors are wrong")
                self.assertGreater(load.acknowledged, before, f"round {number}: nothing was acknowledged in {delay:.2f} s")
        print(f"{cache}: {ROUNDS} kills, {load.acknowledged} acknowledged writes ({load.bytes / node.MiB:.0f} MiB, "
              f"{load.flushes} flushes) all there; {undecided} sectors had a write in flight; "
              f"restart {sorted(starts)[len(starts) // 2] * 1000:.0f} ms median, {max(starts) * 1000:.0f} ms at most",
              flush=True)

    def test_buffered(self):
        self.storm("buffered")

    def test_direct(self):
        self.storm("direct")


if __name__ == "__main__":
    suite.main()
