"""Shadows of two real nodes: filled, served near, and never stale, whatever happens to either node."""
import multiprocessing
import os
import random
import signal
import struct
import time
import unittest

import nodes
import node
from suite import need_nbd

nbd = need_nbd()
MiB, GRANULE = 1 << 20, 65536
LONG = os.environ.get("GNOMON_LONG") == "1"


def connect(one, volume):
    handle = nbd.NBD()
    handle.connect_uri(one.uri(volume))
    return handle


class Checker:
    """Stamped blocks of a few granules: no read may return less than what was acknowledged before it began. Shared by
    the processes of its clients."""

    def __init__(self, blocks):
        self.blocks = blocks
        self.lock = multiprocessing.Lock()
        self.acknowledged = multiprocessing.Array("Q", blocks, lock=False)
        self.number, self.reads, self.writes, self.failed, self.end = (multiprocessing.Value("Q", 0, lock=False)
                                                                       for _ in range(5))
        self.problems = multiprocessing.Queue()

    def offset(self, block):
        return block * GRANULE + 4096 * (block % 16)

    def write(self, handle, block):
        with self.lock:
            self.number.value += 1
            number = self.number.value
        handle.pwrite(struct.pack("<QQ", number, block) * 256, self.offset(block))
        with self.lock:
            self.acknowledged[block] = max(self.acknowledged[block], number)
            self.writes.value += 1

    def read(self, handle, block, who):
        with self.lock:
            least = self.acknowledged[block]
        data = handle.pread(4096, self.offset(block))
        numbers = {struct.unpack_from("<Q", data, i)[0] for i in range(0, 4096, 16)}
        with self.lock:
            self.reads.value += 1
            if len(numbers) == 1 and max(numbers) >= least:
                self.acknowledged[block] = max(self.acknowledged[block], max(numbers))
                return
            self.end.value = 1
        self.problems.put(f"{who} read {sorted(numbers)[:4]} of block {block} after {least} was acknowledged")

    def run(self, one, volume, seed, share_of_writes, blocks):
        """A client that reconnects until `end`. Each block has one writer, so that its numbers rise."""
        rng = random.Random(seed)
        who = one.config["node"]
        while not self.end.value:
            try:
                handle = connect(one, volume)
                while not self.end.value:
                    if rng.random() < share_of_writes:
                        self.write(handle, rng.choice(blocks))
                    else:
                        self.read(handle, rng.randrange(self.blocks), who)
            except nbd.Error:
                with self.lock:
                    self.failed.value += 1
                time.sleep(0.05)


class Shadow(unittest.TestCase):
    def setUp(self):
        self.nodes = nodes.cluster({"alpha": [{"name": "db", "size": "32MiB", "shared": True}], "beta": []})
        for one in self.nodes.values():
            one.start()
        self.alpha, self.beta = self.nodes["alpha"], self.nodes["beta"]
        nodes.wait_for_sessions(self.nodes)
        nodes.wait_for_volume(self.beta, "db")

    def tearDown(self):
        for one in self.nodes.values():
            if one.alive():
                one.process.send_signal(signal.SIGCONT)
                self.assertEqual(one.stop(), 0, one.log()[-3000:])

    def make(self):
        return self.beta.cli("shadow", "create", "db", "--node", "beta", "--wait").stdout

    def test_a_shadow_holds_the_volume_and_serves_its_reads(self):
        near = connect(self.alpha, "db")
        content = os.urandom(32 * MiB)
        for at in range(0, 32 * MiB, 4 * MiB):
            near.pwrite(content[at:at + 4 * MiB], at)
        self.make()
        before = nodes.shadow(self.beta, "db")
        self.assertEqual(before["valid_bytes"], 32 * MiB)
        far = connect(self.beta, "db")
        for at in range(0, 32 * MiB, MiB):
            self.assertEqual(far.pread(MiB, at), content[at:at + MiB])
        after = nodes.shadow(self.beta, "db")
        self.assertEqual(after["near"] - before["near"], 32)
        self.assertEqual(after["far"], before["far"])
        near.pwrite(b"new" * 4096, 5 * MiB + 1) # acknowledged: no shadow holds the old bytes any more
        self.assertEqual(far.pread(12288, 5 * MiB + 1), b"new" * 4096)
        far.pwrite(b"own" * 4096, 7 * MiB + 1)
        self.assertEqual(far.pread(12288, 7 * MiB + 1), b"own" * 4096)
        node.wait_until(lambda: nodes.shadow(self.beta, "db")["valid_bytes"] == 32 * MiB, 30, "it is filled again")
        self.assertEqual(far.pread(12288, 5 * MiB + 1), b"new" * 4096)

    def test_shadows_are_refused_with_a_reason_where_they_cannot_be(self):
        for arguments, reason in ((("db", "--node", "alpha"), "ask node"), (("nosuch", "--node", "beta"), "no volume")):
            done = self.beta.cli("shadow", "create", *arguments, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(reason, done.stderr)
        done = self.alpha.cli("shadow", "create", "db", "--node", "alpha", check=False)
        self.assertIn("has its home here", done.stderr)
        self.make()
        self.assertIn("has a shadow here", self.beta.cli("shadow", "create", "db", "--node", "beta", check=False).stderr)
        self.beta.cli("shadow", "drop", "db", "--node", "beta")
        self.assertFalse(nodes.shadow(self.beta, "db")["shadow"])
        again = ("shadow", "create", "db", "--node", "beta", "--wait")
        node.wait_until(lambda: self.beta.cli(*again, check=False).returncode == 0, 20, "a new shadow")

    def test_a_write_waits_for_a_gateway_that_stands_still_and_no_longer_than_its_lease(self):
        near = connect(self.alpha, "db")
        near.pwrite(b"1" * 4096, 0)
        self.make()
        nodes.pause(self.beta)
        began = time.monotonic()
        near.pwrite(b"2" * 4096, 0)
        waited = time.monotonic() - began
        self.assertGreater(waited, 0.1)
        self.assertLess(waited, 20)
        nodes.resume(self.beta)
        far = connect(self.beta, "db")
        self.assertEqual(far.pread(4096, 0), b"2" * 4096)

    def test_no_read_is_stale_whatever_happens(self):
        seed = int(os.environ.get("GNOMON_SEED", random.randrange(1 << 30)))
        print(f"shadow_test: GNOMON_SEED={seed}", flush=True)
        rng = random.Random(seed)
        blocks = 32
        checker = Checker(blocks)
        near = connect(self.alpha, "db")
        for block in range(blocks):
            checker.write(near, block)
        self.make()
        clients = [nodes.child(checker.run, one, "db", seed + i, share, mine) for i, (one, share, mine) in enumerate([
                       (self.alpha, 0.3, range(0, blocks, 3)), (self.beta, 0.05, range(1, blocks, 3)),
                       (self.beta, 0.0, []), (self.beta, 0.0, [])])]
        near = far = 0

        def count():
            nonlocal near, far
            counters = nodes.shadow(self.beta, "db")
            near, far = near + counters["near"], far + counters["far"]
        end = time.monotonic() + (600 if LONG else 20)
        disturbances = dict.fromkeys(("pause beta", "kill beta", "kill alpha", "drop", "pause alpha"), 0)
        while time.monotonic() < end and not checker.end.value:
            time.sleep(rng.uniform(0.3, 1.5))
            what = rng.choice(list(disturbances))
            disturbances[what] += 1
            if what in ("pause beta", "pause alpha"):
                one = self.beta if what == "pause beta" else self.alpha
                nodes.pause(one)
                time.sleep(rng.uniform(0.05, 1.5))
                nodes.resume(one)
            elif what == "kill alpha":
                self.alpha.kill()
                self.alpha.start()
            elif what == "kill beta":
                count()
                self.beta.kill()
                self.beta.start()
                nodes.wait_for_volume(self.beta, "db")
                self.beta.cli("shadow", "create", "db", "--node", "beta")
            else:
                self.beta.cli("shadow", "drop", "db", "--node", "beta", check=False)
                node.wait_until(lambda: self.beta.cli("shadow", "create", "db", "--node", "beta",
                                                      check=False).returncode == 0, 20, "a new shadow")
        checker.end.value = 1
        for client in clients:
            client.join(60)
            self.assertEqual(client.exitcode, 0)
        count()
        print(f"{checker.reads.value} reads, {checker.writes.value} writes, {checker.failed.value} connections lost, {disturbances}, "
              f"{near} near, {far} far", flush=True)
        self.assertTrue(checker.problems.empty(), checker.problems.empty() or checker.problems.get())
        self.assertGreater(checker.reads.value, 1000)
        self.assertGreater(near * 100, (near + far) * 20) # else it shows nothing


if __name__ == "__main__":
    unittest.main()
