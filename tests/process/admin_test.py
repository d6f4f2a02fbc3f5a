#!/usr/bin/python3
"""The admin endpoint under clients that misbehave: /health is answered, memory and descriptors are bounded, and a stop
waits for none of them."""
import os
import random
import socket
import threading
import time
import unittest

import node
import suite

MiB = node.MiB
HOSTILE = 1000 if os.environ.get("GNOMON_LONG") == "1" else 600


def link(served):
    host, port = served.ready["admin"].rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30)


def seconds_of_health(served):
    begun = time.monotonic()
    with link(served) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        data = b""
        while True:
            got = plain.recv(65536)
            if not got:
                break
            data += got
    assert data.startswith(b"HTTP/1.1 200"), data[:200]
    return time.monotonic() - begun


class hostile_clients(unittest.TestCase):
    def setUp(self):
        self.node = node.Node({"db": 16 * MiB}).start()

    def tearDown(self):
        if self.node.alive():
            self.assertEqual(self.node.stop(), 0, self.node.log()[-3000:])

    def crowd(self, count):
        """Connections that idle, trickle, send half a head, half a body, or do not read."""
        kinds = (b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: ",
                 b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n[",
                 b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,
                 b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nRange: bytes=" + b",".join([b"0-"] * 1300) + b"\r\n\r\n")
        opened = []
        for number in range(count):
            try:
                plain = link(self.node)
                plain.sendall(kinds[number % len(kinds)])
                opened.append(plain)
            except OSError:
                pass
        return opened

    def test_health_is_answered_and_resources_are_bounded_in_a_crowd(self):
        memory, files = self.node.rss_bytes(), self.node.fd_count()
        opened = self.crowd(HOSTILE)
        stop = threading.Event()

        def trickle():
            while not stop.wait(0.05):
                for plain in opened:
                    try:
                        plain.send(b"a")
                    except OSError:
                        pass
        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        slowest = max(seconds_of_health(self.node) for _ in range(10))
        grown, more = self.node.rss_bytes() - memory, self.node.fd_count() - files
        stop.set()
        thread.join()
        self.assertLess(more, 160)
        self.assertLess(grown, 96 * MiB)
        print(f"{HOSTILE} hostile connections: slowest /health {slowest * 1e3:.0f} ms, +{grown >> 20} MiB, +{more} files")
        self.assertGreater(self.node.metric("gnomon_http_displaced_total"), 0)
        self.assertEqual(self.node.stop(), 0)  # with all of them connected
        for plain in opened:
            plain.close()
        self.node.start()
        self.assertIn(self.node.cli_json("status")["previous_stop"], ("clean", "none"))

    def test_mutated_requests_do_no_harm(self):
        random_ = suite.seeded()
        good = b"POST /v1/events?x=%20 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n[]"
        for _ in range(300):
            request = bytearray(good)
            for _ in range(random_.randrange(1, 8)):
                at = random_.randrange(len(request))
                request[at:at + random_.randrange(3)] = random_.randbytes(random_.randrange(4))
            with link(self.node) as plain:
                plain.sendall(bytes(request))
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(65536):
                    pass
        seconds_of_health(self.node)

    def test_other_names_and_pages_are_refused(self):
        def status(head):
            with link(self.node) as plain:
                plain.sendall(head)
                return int(plain.recv(4096).split()[1])
        get = b"GET /metrics HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
        self.assertEqual(status(get % b"127.0.0.1"), 200)
        self.assertEqual(status(get % b"attacker.example.com"), 421)
        self.assertEqual(status(b"GET /metrics HTTP/1.1\r\n\r\n"), 400)


if __name__ == "__main__":
    suite.main()
