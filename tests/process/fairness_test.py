#!/usr/bin/python3
"""Memory and queues are shared fairly: greedy clients hold up themselves, and no queue that is full is an error.

Nothing here measures time. What is promised is an order (others are served while the greedy ones still are connected)
and a bound of memory.
"""
import os
import select
import struct
import threading
import time
import unittest

import node
import raw_nbd as raw
import suite

MiB = node.MiB


class fairness(unittest.TestCase):
    def start(self, volumes, io=None, nbd=None):
        served = node.Node(volumes, config={"io": io or {}, "nbd": nbd or {}})
        served.start()
        self.addCleanup(self.end, served)
        return served

    def end(self, served):
        self.assertTrue(served.alive(), served.log()[-3000:])
        self.assertEqual(served.stop(), 0, served.log()[-3000:])

    def client(self, served, export):
        plain = served.connect("unix")
        plain.settimeout(600)
        self.addCleanup(plain.close)
        if export:
            raw.go(plain, export)
        return plain

    def test_clients_that_read_nothing_back_hold_up_nobody_else(self):
        served = self.start({"v": 64 * MiB, "w": 64 * MiB}, io={"buffer_memory_max": "64MiB"})
        asked = b"".join(raw.request(raw.READ, number % 32 * MiB, MiB, number) for number in range(500))
        greedy = [self.client(served, "v") for _ in range(40)]
        for plain in greedy:
            plain.setblocking(False)
            try:
                plain.send(asked)
            except BlockingIOError:
                pass
        answered = []
        good = [self.client(served, "w") for _ in range(4)]

        def read(plain, length):
            plain.sendall(raw.request(raw.READ, 0, length, 7))
            answered.append(raw.simple_reply(plain, length)[:2])

        threads = [threading.Thread(target=read, args=(plain, length))
                   for plain, length in zip(good, (4096, 4096, 262144, 262144))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answered, [(0, 7)] * 4)
        still_there = sum(1 for plain in greedy if not self.closed(plain))
        self.assertGreater(still_there, 30, "the others were served only when the greedy ones had been dropped")
        # All that stall go when memory is scarce, in any order, and each leaves a line or is counted in one.
        node.wait_until(lambda: all(self.closed(plain) for plain in greedy), 120, "the end of the stalled readers")
        self.assertIn("takes no replies while memory for replies is scarce", served.log())

    @staticmethod
    def closed(plain):
        """Whether the server has closed, without taking a byte of what it sent."""
        poll = select.poll()
        poll.register(plain, select.POLLRDHUP)
        return bool(poll.poll(0))

    def test_block_status_replies_that_nobody_reads_are_bounded_as_all_replies_are(self):
        served = self.start({"v": 256 * MiB}, io={"buffer_memory_max": "64MiB"})
        writer = self.client(served, "v")
        for number in range(4000):
            writer.sendall(raw.request(raw.WRITE, number * 16384, 4096, number, 0, b"z" * 4096))
            self.assertEqual(raw.simple_reply(writer)[0], 0)
        before, most = served.rss_bytes(), 0
        asked = b"".join(raw.extended_request(raw.BLOCK_STATUS, 0, 256 * MiB, number) for number in range(1000))
        clients = []
        for _ in range(20):
            plain = self.client(served, None)
            raw.open_extended(plain, "v")
            plain.setblocking(False)
            try:
                plain.send(asked)
            except BlockingIOError:
                pass
            clients.append(plain)
        for _ in range(40):
            time.sleep(0.1)
            most = max(most, served.rss_bytes() - before)
        self.assertLess(most, 192 * MiB)
        self.assertEqual(raw.go(self.client(served, None), "v")[0], 256 * MiB)

    def test_a_queue_that_is_full_is_no_error(self):
        served = node.Node({"v": 16 * MiB}, cache="direct", config={"io": {"rings": 1}})
        served.start()
        self.addCleanup(self.end, served)
        errors = {}

        def work(plain):
            asked = b"".join(raw.request(raw.WRITE, 10, 100, number, 0, b"u" * 100) for number in range(1024))
            sender = threading.Thread(target=plain.sendall, args=(asked,))
            sender.start()
            for _ in range(1024):
                error = raw.simple_reply(plain)[0]
                errors[error] = errors.get(error, 0) + 1
            sender.join()

        threads = [threading.Thread(target=work, args=(self.client(served, "v"),)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(errors), {0}, errors)

    def test_a_client_that_lists_may_ask_about_every_export_on_one_connection(self):
        count = 300
        served = self.start([{"name": f"vol-{number:04d}", "size": "1MiB"} for number in range(count)])
        plain = self.client(served, None)
        raw.greet(plain)
        plain.sendall(raw.option(raw.OPT_LIST))
        names = []
        while True:
            _, kind, payload = raw.option_reply(plain)
            if kind == raw.REP_ACK:
                break
            length = struct.unpack(">I", payload[:4])[0]
            names.append(payload[4:4 + length])
        self.assertEqual(len(names), count)
        for name in names:
            for _ in range(2):
                plain.sendall(raw.option(6, struct.pack(">I", len(name)) + name + struct.pack(">H", 0)))
                kind = None
                while kind != raw.REP_ACK:
                    _, kind, payload = raw.option_reply(plain)
                    self.assertFalse(kind & raw.REP_ERROR_BIT, payload)

    def test_a_client_that_sends_too_many_options_leaves_one_line_in_the_log(self):
        served = self.start({"v": MiB}, nbd={"handshake_options_max": 8})
        plain = self.client(served, None)
        raw.greet(plain)
        plain.sendall(raw.option(99) * 9)
        with self.assertRaises(EOFError):
            while True:
                raw.option_reply(plain)
        lines = [line for line in served.log().splitlines() if "handshake_options_max" in line]
        self.assertEqual(len(lines), 1, served.log())
        self.assertIn(str(os.getpid()), lines[0])


if __name__ == "__main__":
    suite.main()
