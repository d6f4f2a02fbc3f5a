#!/usr/bin/python3
"""Clients that behave badly: abrupt ends, half requests, silence, greed. They cost the others nothing, and nothing
of theirs stays behind: no descriptor, no buffer, no memory."""
import errno
import os
import signal
import socket
import struct
import subprocess
import time

import node
import raw_nbd as raw
import suite

nbd = suite.need_nbd()
SIZE = 64 * node.MiB
MiB = node.MiB
DISCONNECTS = int(os.environ.get("GNOMON_DISCONNECTS", 100_000 if node.LONG else 10_000))


@suite.on_every_listener
class abuse(suite.OneNode):
    size = SIZE
    # Small limits, so that reaching them is cheap; each has a defined answer.
    config = {"nbd": {"handshake_timeout": "2s", "handshake_options_max": 32}}

    def open(self, export="db"):
        plain = self.node.connect(self.listener)
        plain.settimeout(60)
        self.addCleanup(plain.close)
        raw.go(plain, export)
        return plain

    def work(self, requests=200):
        """An honest client's round trips; raises if any is not answered."""
        connection = nbd.NBD()
        connection.connect_uri(self.uri)
        for number in range(requests):
            connection.pwrite(bytes([number % 251 + 1]) * 4096, 60 * MiB)
            assert connection.pread(4096, 60 * MiB) == bytes([number % 251 + 1]) * 4096
        connection.shutdown()

    def connections_open(self):
        return self.node.metric("gnomon_ring_connections")

    def at_rest(self):
        """Waits until the daemon has seen every client go; returns its descriptors."""
        seen = []

        def steady():
            seen.append(self.node.fd_count())
            return len(seen) > 10 and len(set(seen[-10:])) == 1
        node.wait_until(steady, 60, "a steady number of descriptors", every=0.05)
        return seen[-1]

    def test_abrupt_disconnects_leave_nothing_behind(self):
        random_ = suite.seeded()
        ends = [self.end_before_a_byte, self.end_in_the_handshake, self.end_in_a_header, self.end_in_a_payload,
                self.end_with_reads_pending, self.end_behind_writes]
        for number in range(300):        # to the daemon's working size: pools, caches, malloc arenas
            ends[number % len(ends)](random_)
        self.work(20)
        descriptors, memory = self.at_rest(), self.node.rss_bytes()
        for number in range(DISCONNECTS // 4):  # a quarter on each of the four servers
            random_.choice(ends)(random_)
        self.work()
        self.assertLessEqual(self.at_rest(), descriptors)
        grown = self.node.rss_bytes() - memory
        print(f"{self.listener} {self.cache}: {DISCONNECTS // 4} abrupt ends; memory {grown / MiB:+.1f} MiB", flush=True)
        self.assertLess(grown, 20 * MiB)
        # Counted once a second: it falls to nothing a moment after the last client has gone, or never.
        self.assertIsNotNone(self.node.metric("gnomon_ring_buffer_bytes"), "no metric gnomon_ring_buffer_bytes")
        node.wait_until(lambda: self.node.metric("gnomon_ring_buffer_bytes") == 0, 60, "all buffers given back")

    def end_before_a_byte(self, _random):
        raw.reset(self.node.connect(self.listener))

    def end_in_the_handshake(self, random_):
        plain = self.node.connect(self.listener)
        plain.sendall(struct.pack(">I", 3) + raw.option(raw.OPT_LIST)[:random_.randrange(1, 16)])
        raw.reset(plain)

    def opened(self):
        plain = self.node.connect(self.listener)
        raw.go(plain, "db")
        return plain

    def end_in_a_header(self, random_):
        plain = self.opened()
        plain.sendall(raw.request(raw.READ, 0, 4096)[:random_.randrange(1, 28)])
        raw.reset(plain)

    def end_in_a_payload(self, random_):
        plain = self.opened()
        plain.sendall(raw.request(raw.WRITE, 0, MiB) + bytes(random_.randrange(0, 65536)))
        raw.reset(plain)

    def end_with_reads_pending(self, _random):
        plain = self.opened()
        plain.sendall(b"".join(raw.request(raw.READ, 0, 65536, cookie) for cookie in range(16)))
        raw.reset(plain)

    def end_behind_writes(self, _random):
        plain = self.opened()
        plain.sendall(b"".join(raw.request(raw.WRITE, cookie * 4096, 4096, cookie, 0, b"w" * 4096) +
                               raw.request(raw.FLUSH, cookie=cookie) for cookie in range(8)))
        raw.reset(plain)

    def test_bytes_that_were_never_sent_are_never_written(self):
        guard = nbd.NBD()
        guard.connect_uri(self.uri)
        for cut in (0, 1, 511, 512, 4096, 65536, MiB - 1):
            guard.pwrite(b"\x33" * (2 * MiB), 16 * MiB)
            plain = self.opened()
            plain.sendall(raw.request(raw.WRITE, 16 * MiB, MiB) + b"\x44" * cut)
            raw.reset(plain)
            self.at_rest()
            found = guard.pread(2 * MiB, 16 * MiB)
            self.assertEqual(found[cut:], b"\x33" * (2 * MiB - cut), cut)

    def test_half_requests_and_silence_block_nobody(self):
        silent = [self.open() for _ in range(20)]
        for index, plain in enumerate(silent):
            plain.sendall(raw.request(raw.WRITE, 20 * MiB, MiB) + b"z" * (1 + index * 1000))
        half_headers = [self.open() for _ in range(20)]
        for plain in half_headers:
            plain.sendall(raw.request(raw.READ, 0, 4096)[:13])
        self.work()
        for plain in half_headers:           # they may go on where they stopped
            plain.sendall(raw.request(raw.READ, 0, 4096)[13:])
        for plain in half_headers:
            self.assertEqual(raw.simple_reply(plain, 4096)[0], 0)

    def test_a_client_that_stops_reading_is_held_to_its_limit_and_then_served_on(self):
        greedy = self.open()
        before = self.node.rss_bytes()
        greedy.settimeout(3)
        sent = 0
        try:                                 # 4 GiB of replies asked for, none read
            while sent < 4096:
                greedy.sendall(raw.request(raw.READ, 0, MiB, sent))
                sent += 1
        except (TimeoutError, socket.timeout):
            pass
        self.work()
        grown = self.node.rss_bytes() - before
        self.assertLess(grown, 200 * MiB, f"{sent} MiB asked for")  # in_flight_max is 64 MiB by default
        greedy.settimeout(60)
        for _ in range(32):                  # and now it reads
            error, _, data = raw.simple_reply(greedy, MiB)
            self.assertEqual((error, len(data)), (0, MiB))

    def test_a_stopped_client_stops_nobody_else(self):
        child = node.spawn(["fio", "--name=stopped", "--ioengine=nbd", f"--uri={self.uri}", "--rw=randrw", "--bs=64k",
                            "--iodepth=32", "--size=16M", "--time_based", "--runtime=60"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=node.make_folder())
        try:
            node.wait_until(lambda: self.node.fd_count() > 0 and child.poll() is None and
                            (self.connections_open() or 0) >= 1, 30, "fio's connection")
            time.sleep(0.5)
            child.send_signal(signal.SIGSTOP)
            self.work()
            child.send_signal(signal.SIGCONT)
            time.sleep(0.3)
            self.assertIsNone(child.poll(), "fio ended: its connection did not survive the pause")
        finally:
            child.kill()
            child.wait()

    def test_handshakes_are_bounded_in_time_and_options(self):
        plain = self.node.connect(self.listener)
        self.addCleanup(plain.close)
        plain.settimeout(60)
        raw.receive(plain, 18)
        self.assertEqual(plain.recv(1), b"", "a silent client was not dropped")  # after handshake_timeout
        talkative = self.node.connect(self.listener)
        self.addCleanup(talkative.close)
        talkative.settimeout(60)
        raw.greet(talkative)
        answered = 0
        with self.assertRaises((EOFError, ConnectionError)):
            for _ in range(10_000):
                talkative.sendall(raw.option(99))
                raw.option_reply(talkative)
                answered += 1
        self.assertLessEqual(answered, 33)
        open_ = [self.node.connect(self.listener) for _ in range(200)]
        self.work(20)
        for plain in open_:
            plain.close()

    def test_oversized_requests_get_an_answer_and_no_buffer(self):
        before = self.node.rss_bytes()
        for command in (raw.READ, raw.WRITE):
            plain = self.open()
            plain.sendall(raw.request(command, 0, 0xFFFFFFFF))
            try:
                if command == raw.WRITE:
                    plain.sendall(b"\xee" * MiB)
                    raw.reset(plain)
                else:
                    error, _, _ = raw.simple_reply(plain)
                    self.assertIn(error, (errno.EINVAL, errno.ENOMEM, errno.EOVERFLOW))
            except (EOFError, ConnectionError):
                pass                         # dropping it is a defined answer, too
        self.work(20)
        self.assertLess(self.node.rss_bytes() - before, 64 * MiB)

    def test_a_refused_write_leaves_the_stream_in_step(self):
        plain = self.open()
        plain.sendall(raw.request(raw.WRITE, SIZE, 4096, 7, 0, b"\xee" * 4096) + raw.request(raw.READ, 0, 512, 8))
        error, cookie, _ = raw.simple_reply(plain)
        self.assertEqual(cookie, 7)
        self.assertIn(error, (errno.ENOSPC, errno.EINVAL))
        self.assertEqual(raw.simple_reply(plain, 512)[:2], (0, 8))
        for command in (9, 100, 65535):
            plain.sendall(raw.request(command, cookie=command))
            self.assertEqual(raw.simple_reply(plain)[:2], (errno.EINVAL, command))
        plain.sendall(b"".join(raw.request(raw.READ, 0, 512, cookie) for cookie in range(1000)))
        self.assertEqual({raw.simple_reply(plain, 512)[1] for _ in range(1000)}, set(range(1000)))

    def test_wrong_magic_ends_the_connection(self):
        plain = self.open()
        plain.sendall(b"\xde\xad\xbe\xef" + bytes(24))
        with self.assertRaises((EOFError, ConnectionError)):
            raw.receive(plain, 1)


class connection_limit(suite.unittest.TestCase):
    def test_the_limit_refuses_the_next_one_and_frees_its_place_again(self):
        with node.Node({"db": SIZE}, config={"nbd": {"connections_max": 8}}) as served:
            held = []
            for _ in range(8):
                held.append(served.connect())
                raw.go(held[-1], "db")
            extra = served.connect()
            extra.settimeout(60)
            with self.assertRaises((EOFError, ConnectionError)):
                raw.go(extra, "db")
            held.pop().close()

            def room():
                plain = served.connect()
                try:
                    return raw.go(plain, "db")[0] == SIZE
                except (EOFError, ConnectionError):
                    return False
                finally:
                    plain.close()
            node.wait_until(room, 30, "a free place after a client has gone")
            for plain in held:
                plain.sendall(raw.request(raw.READ, 0, 512, 1))
                self.assertEqual(raw.simple_reply(plain, 512)[:2], (0, 1))


if __name__ == "__main__":
    suite.main()
