"""One writer across nodes, fences that reach behind a gateway, and names that change at the home."""
import time
import unittest

import nodes
import node
from suite import need_nbd

nbd = need_nbd()
MiB = 1 << 20


def connect(one, volume):
    handle = nbd.NBD()
    handle.connect_uri(one.uri(volume))
    return handle


def writes(handle, data=b"w" * 4096):
    """Whether the client may write now."""
    try:
        handle.pwrite(data, 0)
        handle.flush()
        return True
    except nbd.Error:
        return False


def may_write(one, volume):
    try:
        return writes(connect(one, volume))
    except nbd.Error:
        return False


class Claims(unittest.TestCase):
    def setUp(self):
        self.nodes = nodes.cluster({"alpha": [{"name": "db", "size": "16MiB"}], "beta": [], "gamma": []})
        for one in self.nodes.values():
            one.start()
        self.alpha, self.beta, self.gamma = (self.nodes[name] for name in ("alpha", "beta", "gamma"))
        nodes.wait_for_sessions(self.nodes)
        nodes.wait_for_volume(self.beta, "db")
        nodes.wait_for_volume(self.gamma, "db")

    def tearDown(self):
        for one in self.nodes.values():
            if one.alive():
                self.assertEqual(one.stop(), 0, one.log()[-3000:])

    def test_an_idle_writer_keeps_its_claim_and_another_nodes_client_is_disconnected(self):
        first = connect(self.beta, "db")
        self.assertTrue(writes(first))
        self.assertFalse(may_write(self.alpha, "db"))
        second = connect(self.gamma, "db")  # it has written nothing, and must not believe that it may

        def disconnected():
            try:
                second.pread(4096, 0)
                return False
            except nbd.Error:
                return True
        node.wait_until(disconnected, 30, "the second writer is disconnected")
        time.sleep(12)  # longer than a connection stays open unused
        self.assertFalse(may_write(self.gamma, "db"))
        self.assertFalse(may_write(self.alpha, "db"))
        self.assertTrue(writes(first))
        first.shutdown()
        node.wait_until(lambda: may_write(self.gamma, "db"), 30, "the claim passes on when the writer has gone")

    def test_a_fence_of_an_instance_stops_it_behind_a_gateway(self):
        behind = nbd.NBD()
        behind.connect_uri(self.beta.uri("db@instance:vm1"))
        self.assertTrue(writes(behind))
        self.alpha.cli("volume", "fence", "db", "--instance", "vm1")
        self.assertFalse(writes(behind, b"x" * 4096))
        self.assertEqual(connect(self.alpha, "db").pread(4096, 0), b"w" * 4096)
        self.alpha.cli("volume", "unfence", "db")
        node.wait_until(lambda: may_write(self.beta, "db"), 30, "it is let in again")


class Names(unittest.TestCase):
    def setUp(self):
        self.nodes = nodes.cluster({"alpha": [], "beta": []})
        for one in self.nodes.values():
            one.start()
        self.alpha, self.beta = self.nodes["alpha"], self.nodes["beta"]
        nodes.wait_for_sessions(self.nodes)
        self.alpha.cli("volume", "create", "db", "--size", "16MiB", "--shared")
        nodes.wait_for_volume(self.beta, "db")

    def tearDown(self):
        for one in self.nodes.values():
            if one.alive():
                self.assertEqual(one.stop(), 0, one.log()[-3000:])

    def reads(self, one, volume):
        try:
            return connect(one, volume).pread(4096, 0)
        except nbd.Error:
            return None

    def test_a_gateway_follows_a_rename_and_the_new_owner_of_the_name(self):
        writes(connect(self.alpha, "db"), b"o" * 4096)
        self.alpha.cli("volume", "rename", "db", "old")
        self.alpha.cli("volume", "create", "db", "--size", "16MiB", "--shared")
        writes(connect(self.alpha, "db"), b"n" * 4096)
        node.wait_until(lambda: self.reads(self.beta, "db") == b"n" * 4096, 30, "db is the new volume at beta")
        node.wait_until(lambda: self.reads(self.beta, "old") == b"o" * 4096, 30, "the former one has its new name")
        self.assertTrue(writes(connect(self.beta, "db"), b"m" * 4096))
        self.assertEqual(self.reads(self.alpha, "db"), b"m" * 4096)
        self.assertEqual(self.reads(self.alpha, "old"), b"o" * 4096)

    def test_a_volume_that_was_deleted_and_created_again_is_served_anew(self):
        former = connect(self.beta, "db")
        writes(former, b"o" * 4096)
        self.alpha.cli("volume", "delete", "db", "--force")
        self.alpha.cli("volume", "create", "db", "--size", "16MiB", "--shared")
        writes(connect(self.alpha, "db"), b"n" * 4096)
        node.wait_until(lambda: self.reads(self.beta, "db") == b"n" * 4096, 30, "db is the new volume at beta")
        with self.assertRaises(nbd.Error):
            former.pread(4096, 0)


if __name__ == "__main__":
    unittest.main()
