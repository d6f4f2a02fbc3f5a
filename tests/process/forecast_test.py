#!/usr/bin/python3
"""Forecasts on a real node: honest before there is a past, a chart once there is load, events in it, and all of it
again after kill -9; a forecaster that is killed costs no I/O."""
import os
import random
import subprocess
import threading
import unittest

import node
import suite

nbd = suite.need_nbd()
SLOT_US = 10_000_000
TRACE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/oltp.csv.gz")


class forecasts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = node.Node({"db": 64 * node.MiB, "idle": 16 * node.MiB}, config={"forecast": {"refit_every": "10s"}})
        cls.node.start()
        cls.before = [cls.node.cli_json("forecast", "db"), cls.node.cli("forecast", "db").stdout]
        cls.load = cls.give_load()

    @classmethod
    def tearDownClass(cls):
        if cls.node.alive():
            assert cls.node.stop() == 0, cls.node.log()[-3000:]

    @classmethod
    def give_load(cls):
        """A recorded trace until three slots of ten seconds are known."""
        replay = node.spawn([node.GNOMON, "--config", cls.node.config_path, "replay", TRACE, "--to", "db", "--scale",
                             "--speed", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            return node.wait_until(lambda: cls.view_with(3), 300, "three observed slots", every=1)
        finally:
            replay.kill()
            replay.wait()

    @classmethod
    def view_with(cls, slots):
        view = cls.node.cli_json("forecast", "db")
        return view if view["observed_slots"] >= slots and any(view["past"]) else None

    def check_shape(self, view):
        self.assertEqual(view["step_us"], SLOT_US)
        self.assertEqual(view["start_us"] % SLOT_US, 0)
        self.assertTrue(view["ahead"])
        self.assertEqual(len(view["ahead"]), len(view["low"]))
        self.assertEqual(len(view["ahead"]), len(view["high"]))
        for low, high in zip(view["low"], view["high"]):
            self.assertLessEqual(low, high)

    def test_before_any_load_it_says_that_there_is_nothing(self):
        view, text = self.before
        self.assertFalse(view["enough_past"])
        self.assertEqual(view["past"], [])
        self.assertIn("Nothing has been observed yet", text)

    def test_load_becomes_a_past_and_a_forecast(self):
        self.check_shape(self.load)
        self.assertGreater(max(self.load["past"]), 0)
        self.assertEqual([h["ahead_us"] for h in self.load["horizons"]], [300_000_000, 1_800_000_000, 7_200_000_000])

    def test_the_chart_can_be_read(self):
        done = subprocess.run([node.GNOMON, "--config", self.node.config_path, "forecast", "db"], text=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}, stdout=subprocess.PIPE, check=True)
        lines = done.stdout.splitlines()
        self.assertTrue(lines[0].startswith("volume db: requests per second, "), lines[0])
        self.assertTrue(any("⣿" in line for line in lines))
        self.assertTrue(any(" now" in line for line in lines))
        self.assertLessEqual(max(map(len, lines)), 80, done.stdout)
        plain = subprocess.run([node.GNOMON, "--config", self.node.config_path, "forecast", "db"],
                               env={**os.environ, "LC_ALL": "C"}, stdout=subprocess.PIPE, check=True).stdout
        plain.decode("ascii")

    def test_every_kind_of_load_and_the_node_have_one(self):
        requests = self.node.cli_json("forecast", "db")
        bytes_ = self.node.cli_json("forecast", "db", "--load", "bytes")
        self.assertEqual(bytes_["load"], "bytes")
        self.assertGreater(sum(bytes_["past"]), sum(requests["past"]))
        parts = [sum(self.node.cli_json("forecast", "db", "--load", part)["past"]) for part in ("reads", "writes")]
        self.assertGreater(sum(parts), 0)
        whole = self.node.cli_json("forecast", "--node")
        self.assertEqual((whole["kind"], whole["subject"]), ("node", "alpha"))
        self.assertGreater(max(whole["past"]), 0)
        self.assertFalse(self.node.cli_json("forecast", "idle")["enough_past"])

    def test_who_is_not_there_has_none(self):
        for words in (["nothing"], ["--instance", "nobody"]):
            done = self.node.cli("forecast", *words, check=False)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("not_found", done.stderr)
        self.assertEqual(self.node.cli("forecast", check=False).returncode, 2)

    def test_a_told_event_is_in_the_next_forecast(self):
        told = self.node.cli_json("event", "add", "--type", "nightly backup", "--volume", "db", "--start", "in 30m",
                                  "--duration", "10m")
        try:
            view = self.node.cli_json("forecast", "db")
            self.assertEqual([e["type"] for e in view["events"]], ["nightly backup"])
            self.assertEqual(view["events"][0]["end_us"] - view["events"][0]["start_us"], 600_000_000)
            self.assertEqual(self.node.cli_json("forecast", "idle")["events"], [])
        finally:
            for event in self.node.cli_json("event", "ls"):
                self.node.cli("event", "rm", str(event["id"]))
        self.assertEqual(self.node.cli_json("forecast", "db")["events"], [], told)

    def test_killing_forecasters_costs_no_io(self):
        link = nbd.NBD()
        link.connect_uri(self.node.uri("db"))
        stop, failed = threading.Event(), []

        def write():
            data = random.Random(7).randbytes(4096)
            while not stop.is_set():
                try:
                    link.pwrite(data, 0)
                    if link.pread(4096, 0) != data:
                        failed.append("read something else")
                except nbd.Error as why:
                    failed.append(str(why))
                    return

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for actor in ("forecaster/db", "forecasters", "forecaster/@node"):
                self.node.cli("ask", actor, "kill")
                node.wait_until(lambda: self.node.cli("forecast", "db", check=False).returncode == 0, 60,
                                f"a forecast after {actor} was killed")
        finally:
            stop.set()
            writer.join()
        self.assertEqual(failed, [])
        link.shutdown()

    def test_kill_9_keeps_the_past(self):
        known = node.wait_until(lambda: self.view_with(3), 60, "a past")
        self.node.kill()
        self.node.start()
        view = self.node.cli_json("forecast", "db")
        self.check_shape(view)
        # The newest slot may be lost: history commits every half second, and rows are handed over every few seconds.
        self.assertGreaterEqual(view["observed_slots"] + 1, known["observed_slots"])
        first = known["start_us"] - known["step_us"] * len(known["past"])
        slot = (first - (view["start_us"] - view["step_us"] * len(view["past"]))) // SLOT_US
        self.assertGreaterEqual(slot, 0)
        self.assertEqual(view["past"][slot:slot + len(known["past"]) - 1], known["past"][:-1])


if __name__ == "__main__":
    suite.main()
