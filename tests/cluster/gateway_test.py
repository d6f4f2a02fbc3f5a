"""A volume attached through another node: everything NBD offers goes through, and the home may go away for a while."""
import os
import time
import unittest

import nodes
import node
from suite import need_nbd

nbd = need_nbd()
MiB = 1 << 20


def connect(one, volume):
    handle = nbd.NBD()
    handle.add_meta_context("base:allocation")
    handle.connect_uri(one.uri(volume))
    return handle


class Gateway(unittest.TestCase):
    def setUp(self):
        self.nodes = nodes.cluster({"alpha": [{"name": "db", "size": "64MiB", "shared": True}], "beta": []})
        for one in self.nodes.values():
            one.start()
        self.alpha, self.beta = self.nodes["alpha"], self.nodes["beta"]
        nodes.wait_for_sessions(self.nodes)
        nodes.wait_for_volume(self.beta, "db")

    def tearDown(self):
        for one in self.nodes.values():
            if one.alive():
                self.assertEqual(one.stop(), 0, one.log()[-3000:])

    def test_what_is_written_through_one_node_is_read_through_the_other(self):
        near, far = connect(self.alpha, "db"), connect(self.beta, "db")
        self.assertEqual(far.get_size(), 64 * MiB)
        far.pwrite(b"x" * 4096, 8192)
        self.assertEqual(near.pread(4096, 8192), b"x" * 4096)
        near.pwrite(b"y" * 100_000, 1_000_001)
        self.assertEqual(far.pread(100_000, 1_000_001), b"y" * 100_000)
        far.pwrite(b"z" * (8 * MiB), 16 * MiB, nbd.CMD_FLAG_FUA)
        self.assertEqual(near.pread(8 * MiB, 16 * MiB), b"z" * (8 * MiB))
        far.trim(4 * MiB, 16 * MiB)
        far.zero(4096, 8192)
        far.flush()
        self.assertEqual(near.pread(4096, 8192), bytes(4096))
        extents = []
        far.block_status(1 * MiB, 32 * MiB, lambda context, offset, entries, error: extents.extend(entries) or 0)
        self.assertEqual(extents[1], 3) # a hole that reads zero
        with self.assertRaises(nbd.Error):
            far.pread(4096, 64 * MiB - 512)

    def test_requests_wait_for_a_home_that_comes_back(self):
        far = connect(self.beta, "db")
        far.pwrite(b"a" * 4096, 0)
        far.flush()

        def client():
            began = time.monotonic()
            assert far.pread(4096, 0) == b"a" * 4096
            assert time.monotonic() - began > 0.5
            far.pwrite(b"b" * 4096, 0)
            assert far.pread(4096, 0) == b"b" * 4096
        self.alpha.kill()
        reading = nodes.child(client)
        time.sleep(1)
        self.alpha.start()
        reading.join(60)
        self.assertEqual(reading.exitcode, 0)

    def test_a_home_that_stays_away_is_an_error_after_the_patience(self):
        far = connect(self.beta, "db")
        self.alpha.kill()
        began = time.monotonic()
        with self.assertRaises(nbd.Error):
            far.pread(4096, 0)
        self.assertGreater(time.monotonic() - began, 5)

    def test_unflushed_changes_and_a_home_that_restarts_end_the_clients_connection(self):
        far = connect(self.beta, "db")
        far.pwrite(b"a" * 4096, 0)
        self.alpha.kill()
        self.alpha.start()
        nodes.wait_for_sessions(self.nodes)
        with self.assertRaises(nbd.Error):
            for _ in range(100):
                far.pread(4096, 0)
                time.sleep(0.05)

    def test_the_data_listener_and_the_session_port_let_nobody_in_without_the_secret(self):
        address = self.alpha.config["cluster"]["data_listen"]
        stranger = nbd.NBD()
        with self.assertRaises(nbd.Error):
            stranger.connect_uri(f"nbd://{address}/db")
        import socket
        host, port = self.alpha.config["cluster"]["listen"].split(":")
        for rubbish in (b"", b"GET / HTTP/1.0\r\n\r\n", os.urandom(4096), b"\x47\x4e\x01\x01" + bytes(68)):
            with socket.create_connection((host, int(port))) as plain:
                plain.sendall(rubbish)
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(4096):
                    pass
        self.assertTrue(self.alpha.alive())
        self.assertEqual(nodes.peers(self.beta)[0]["session"], "open")


class Strangers(unittest.TestCase):
    def test_a_node_with_another_secret_gets_no_session(self):
        both = nodes.cluster({"alpha": [{"name": "db", "size": "64MiB"}], "beta": []})
        with open(both["beta"].config["cluster"]["secret_file"], "w") as file:
            file.write("quite another secret, also long")
        for one in both.values():
            one.start()
        node.wait_until(lambda: "secret" in nodes.peers(both["beta"])[0]["trouble"], 20, "the secret is refused")
        self.assertIsNone(nodes.shadow(both["beta"], "db"))
        for one in both.values():
            self.assertEqual(one.stop(), 0)


if __name__ == "__main__":
    unittest.main()
