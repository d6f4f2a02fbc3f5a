"""The planner of a real node: what its clients read comes near by itself, and goes when they stop."""
import json
import os
import subprocess
import time
import unittest

import nodes
import node
from suite import need_nbd

nbd = need_nbd()
MiB, CHUNK = 1 << 20, 16 << 20
# An hour in seconds: what would take half an hour takes a few seconds.
FAST = {"every": "300ms", "horizon": "20s", "stay_min": "1s", "demand_half_life": "1s", "copy_rate": "1GiB"}


def connect(one, volume, instance=None):
    handle = nbd.NBD()
    handle.connect_uri(one.uri(f"{volume}@instance:{instance}" if instance else volume))
    return handle


def plan(one):
    return json.loads(one.cli("--json", "plan").stdout)


def why(one, what):
    return json.loads(one.cli("--json", "why", what).stdout)


class Planner(unittest.TestCase):
    mode, redirect, volumes, stage = "act", "predicted", [{"name": "db", "size": "128MiB", "shared": True}], "1GiB"

    def setUp(self):
        self.nodes = nodes.cluster({"alpha": self.volumes, "beta": []}, redirect=self.redirect, stage=self.stage, delay_ms=1,
                                   sections={"planner": {**FAST, "mode": self.mode}})
        for one in self.nodes.values():
            one.start()
        self.alpha, self.beta = self.nodes["alpha"], self.nodes["beta"]
        nodes.wait_for_sessions(self.nodes)
        nodes.wait_for_volume(self.beta, "db")
        # Learning takes note of it within a second.
        node.wait_until(lambda: self.beta.cli("heat", "db", check=False).returncode == 0, 30, "its pattern is known at beta")

    def tearDown(self):
        for one in self.nodes.values():
            if one.alive():
                self.assertEqual(one.stop(), 0, one.log()[-3000:])

    def read_until(self, handle, offsets, condition, what, seconds=60):
        """Reads the offsets over and over until the condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, f"not within {seconds} s: {what}\n{self.beta.cli('plan').stdout}")
            for offset in offsets:
                handle.pread(4096, offset)

    def shadow(self):
        return nodes.shadow(self.beta, "db")


class Acts(Planner):
    def test_what_is_read_comes_near_and_goes_when_its_readers_do(self):
        home = connect(self.alpha, "db")
        content = os.urandom(MiB)
        home.pwrite(content, 2 * CHUNK)
        far = connect(self.beta, "db")
        hot = [2 * CHUNK + i * 65536 for i in range(16)]
        self.read_until(far, hot, lambda: self.shadow()["wanted_bytes"] == CHUNK, "a shadow of the chunk")
        self.assertTrue(self.shadow()["planned"])
        near = self.shadow()["near"]
        self.read_until(far, hot, lambda: self.shadow()["near"] > near + 100, "reads from it")
        self.assertEqual(far.pread(MiB, 2 * CHUNK), content)
        told = why(self.beta, "db")
        self.assertEqual([(p["first_chunk"], p["chunks"]) for p in told["placed"]], [(2, 1)])
        self.assertIn("reads/s expected", told["placed"][0]["reason"])
        self.assertIn(("create", "done"), [(d["kind"], d["outcome"]) for d in told["decisions"]])
        # What is written at the home is never read stale here.
        home.pwrite(b"new" * 4096, 2 * CHUNK)
        self.assertEqual(far.pread(12288, 2 * CHUNK), b"new" * 4096)
        # Nobody reads it any more.
        node.wait_until(lambda: not self.shadow()["shadow"], 90, "the shadow is dropped")
        self.assertIn(("drop", "done"), [(d["kind"], d["outcome"]) for d in why(self.beta, "db")["decisions"]])
        self.assertIn("reads/s expected", self.beta.cli("why", "db").stdout)
        self.assertEqual(far.pread(12288, 2 * CHUNK), b"new" * 4096)

    def test_a_dump_gives_the_same_decisions_in_a_simulation(self):
        far = connect(self.beta, "db")
        path = os.path.join(self.beta.folder, "plan.txt")
        decided = []

        def some_decisions():
            decided[:] = self.beta.cli("plan", "--dump", path).stdout.splitlines()
            return bool(decided)
        node.wait_until(lambda: plan(self.beta)["planned_seconds_ago"] is not None, 30, "a plan")
        self.read_until(far, [0, CHUNK, 5 * CHUNK], some_decisions, "a plan that decides something")
        simulated = self.beta.cli("simulate", "--plan", path).stdout
        self.assertEqual(simulated.splitlines(), decided)

    def test_what_an_operator_has_made_is_left_alone(self):
        self.beta.cli("shadow", "create", "db", "--node", "beta", "--wait")
        before = plan(self.beta)["executed"]
        end = time.monotonic() + 4 # a dozen plans
        far = connect(self.beta, "db")
        while time.monotonic() < end:
            far.pread(4096, 0)
        self.assertFalse(self.shadow()["planned"])
        self.assertTrue(self.shadow()["shadow"])
        self.assertEqual(plan(self.beta)["executed"], before)


class Predicts(Planner):
    """What the past of a volume says comes before its readers do."""
    CHUNK_READ = 3

    def test_a_past_that_was_imported_brings_its_chunk_before_anybody_reads(self):
        path = os.path.join(self.beta.folder, "past.csv")
        with open(path, "w") as out:
            out.write("time_us,volume,op,offset_bytes,length_bytes\n")
            for second in range(0, 3 * 3600, 2):
                for i in range(8): # 4 reads per second of one chunk, for three hours
                    out.write(f"{second * 1000000 + i},db,R,{self.CHUNK_READ * CHUNK + i * 65536},65536\n")
        self.beta.cli("history", "import", path, "--volume", "db", "--end-at", "now")
        node.wait_until(lambda: self.shadow()["valid_bytes"] == CHUNK, 120, "the chunk is here")
        self.assertEqual(self.shadow()["near"] + self.shadow()["far"], 0) # nobody has read
        placed = why(self.beta, "db")["placed"]
        self.assertEqual([(p["first_chunk"], p["chunks"], p["because"]) for p in placed], [(self.CHUNK_READ, 1, "recurring")])
        reader = connect(self.beta, "db")
        for i in range(64):
            reader.pread(4096, self.CHUNK_READ * CHUNK + i * 4096)
        self.assertEqual((self.shadow()["near"], self.shadow()["far"]), (64, 0)) # the first read already is near
        reader.pread(4096, 0) # was never read: the home answers, and says why
        self.assertEqual(self.shadow()["far_by_reason"]["not_predicted"], 1)
        self.assertEqual(self.shadow()["instances"][0]["near"], 64)


class Events(Planner):
    """An announced event brings what siblings read, a lie costs no more than its bound."""
    volumes, stage = [{"name": "db", "size": "128MiB", "shared": True}], "128MiB"

    def announce(self, *more):
        self.alpha.cli("instance", "set", "web-1", "--application", "shop")
        self.alpha.cli("event", "add", "--type", "scale_out", "--application", "shop", "--to", "beta", "--instances", "2",
                       "--start", "now", "--duration", "10s", *more)

    def test_siblings_reads_go_ahead_and_a_lie_is_bounded(self):
        sibling = connect(self.alpha, "db", "web-1")
        self.announce()
        chunks = [0, 2, 4, 5, 7] # 80 MiB; a quarter of the stage is 32 MiB
        most = 0

        def is_there():
            nonlocal most
            most = max(most, self.shadow()["wanted_bytes"])
            return self.shadow()["valid_bytes"] == 2 * CHUNK
        self.read_until(sibling, [c * CHUNK for c in chunks], is_there, "what siblings read is at beta")
        self.assertEqual({p["because"] for p in why(self.beta, "db")["placed"]}, {"event"})
        # Nobody comes: after the event and the planner's horizon all of it goes.
        end = time.monotonic() + 90
        while self.shadow()["shadow"]:
            self.assertLess(time.monotonic(), end, self.beta.cli("plan").stdout)
            most = max(most, self.shadow()["wanted_bytes"])
            for c in chunks:
                sibling.pread(4096, c * CHUNK)
        self.assertLessEqual(most, 32 * MiB)
        # The same lie again is not believed: nothing of what it brought was read.
        before = self.shadow()["filled_bytes"]
        self.announce()
        end = time.monotonic() + 6 # twenty plans
        while time.monotonic() < end:
            for c in chunks:
                sibling.pread(4096, c * CHUNK)
        self.assertLessEqual(sum(d["bytes"] for d in why(self.beta, "db")["decisions"]
                                 if d["kind"] == "create" and d["outcome"] == "done"), 3 * 32 * MiB)


class Example(unittest.TestCase):
    def test_the_example_shows_reads_that_came_near(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/near.sh")
        done = subprocess.run([script], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        far, near = (float(line.split(": ")[1].split()[0]) for line in done.stdout.splitlines()
                     if line.endswith(" ms a read"))
        self.assertGreater(far, 2) # the proxy's delay, there and back
        self.assertLess(near, far)
        self.assertIn("recurring: ", done.stdout)


class Advises(Planner):
    mode = "advise"

    def test_advice_moves_nothing(self):
        far = connect(self.beta, "db")
        node.wait_until(lambda: plan(self.beta)["planned_seconds_ago"] is not None, 30, "a plan")
        self.read_until(far, [0], lambda: plan(self.beta)["decisions"] != [], "advice")
        advice = plan(self.beta)
        self.assertEqual(advice["mode"], "advise")
        self.assertEqual({d["outcome"] for d in advice["decisions"]}, {"advice"})
        self.assertIn("(advice)", self.beta.cli("plan").stdout)
        self.assertEqual(advice["executed"], 0)
        self.assertFalse(self.shadow()["shadow"])
        self.assertIn("no volume", self.beta.cli("why", "nosuch", check=False).stderr)


if __name__ == "__main__":
    unittest.main()
