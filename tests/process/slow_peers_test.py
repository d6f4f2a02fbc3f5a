#!/usr/bin/python3
"""A disk that is late and a client that stops: who else is connected notices neither.

Nothing here measures time. What is promised is an order: others are served while the late reply is still out.
"""
import os
import select
import signal
import subprocess
import sys
import unittest

import node
import raw_nbd as raw
import suite

MiB = node.MiB
SIZE = 64 * MiB
LATE = "3600s"  # a delay is drawn up to this, the same one for the same seed: longer than any test
STOPPED_READS = 48

# The client that will be stopped: asks for more than any socket buffer holds, reads it all when it is let.
STOPPED_CLIENT = f"""
import sys
sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r})
import socket
import raw_nbd as raw
plain = socket.socket(socket.AF_UNIX)
plain.connect(sys.argv[1])
raw.go(plain, "db")
for cookie in range({STOPPED_READS}):
    plain.sendall(raw.request(raw.READ, 0, {MiB}, cookie))
print("asked", flush=True)
sys.stdin.readline()
seen = set()
for _ in range({STOPPED_READS}):
    error, cookie, data = raw.simple_reply(plain, {MiB})
    assert error == 0 and data == bytes(range(256)) * 4096, (error, cookie)
    seen.add(cookie)
assert len(seen) == {STOPPED_READS}
"""


class base:
    def start(self, plan):
        served = node.Node({"db": SIZE}, cache=self.cache)
        served.start(env={**os.environ, "GNOMON_FAULT_PLAN": plan})
        self.addCleanup(self.end, served)
        return served

    def end(self, served):
        if served.process.returncode != -signal.SIGKILL:
            self.assertTrue(served.alive(), served.log()[-3000:])
            self.assertEqual(served.stop(), 0, served.log()[-3000:])

    def client(self, served):
        plain = served.connect()
        plain.settimeout(300)
        self.addCleanup(plain.close)
        raw.go(plain, "db")
        return plain

    def call(self, plain, command, offset=0, length=0, payload=b""):
        plain.sendall(raw.request(command, offset, length or len(payload), 77, 0, payload))
        error, cookie, data = raw.simple_reply(plain, length if command == raw.READ else 0)
        self.assertEqual((error, cookie), (0, 77))
        return data

    def work(self, plain, rounds):
        """Round trips of an honest client, checked."""
        for number in range(rounds):
            block = bytes([number % 251 + 1]) * 4096
            self.call(plain, raw.WRITE, 40 * MiB + number % 64 * 4096, payload=block)
            self.assertEqual(self.call(plain, raw.READ, 40 * MiB + number % 64 * 4096, 4096), block)
        self.call(plain, raw.FLUSH)

    def late(self, kind, seed):
        """The first operation of its kind is late; everybody else's come and go."""
        served = self.start(f"seed={seed},unsynced=kept,{kind}_latency=#1:{LATE}")
        waiting, honest = self.client(served), self.client(served)
        if kind == "read":
            waiting.sendall(raw.request(raw.READ, 0, 4096, 1))
        else:
            waiting.sendall(raw.request(raw.WRITE, 0, 4096, 1, 0, b"L" * 4096))
        # The first operation is this one only once it has begun.
        node.wait_until(lambda: served.cli_json("volume", "show", "db")["in_flight"] == 1, 120, "the late request")
        self.work(honest, 100)
        waiting.sendall(raw.request(raw.READ, MiB, 4096, 2))  # nor does it hold up its own connection
        self.assertEqual(raw.simple_reply(waiting, 4096)[:2], (0, 2))
        self.work(self.client(served), 20)                    # nor new ones
        self.assertEqual(served.cli("status", check=False).returncode, 0)
        self.assertEqual(select.select([waiting], [], [], 0)[0], [], "the late one was not late: no test")
        served.kill()                                         # rather than wait for it

    def test_a_late_read_holds_up_nobody(self):
        self.late("read", 3)

    def test_a_late_write_holds_up_nobody(self):
        self.late("write", 3)

    def test_a_stopped_client_on_a_slow_disk_costs_the_others_nothing(self):
        served = self.start("seed=5,latency=0.05:40ms")
        honest = self.client(served)
        self.call(honest, raw.WRITE, 0, payload=bytes(range(256)) * 4096)
        before = served.rss_bytes()
        stopped = node.spawn([sys.executable, "-c", STOPPED_CLIENT, served.socket_path], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
        self.assertEqual(stopped.stdout.readline(), "asked\n")
        stopped.send_signal(signal.SIGSTOP)
        self.work(honest, 150)
        self.work(self.client(served), 20)
        self.assertLess(served.rss_bytes() - before, 160 * MiB)  # nbd.in_flight_max is 64 MiB
        stopped.send_signal(signal.SIGCONT)
        stopped.communicate("go on\n", timeout=300)
        self.assertEqual(stopped.returncode, 0, "it did not get what it asked for")


class slow_peers_buffered(base, unittest.TestCase):
    cache = "buffered"


class slow_peers_direct(base, unittest.TestCase):
    cache = "direct"


if __name__ == "__main__":
    suite.main()
