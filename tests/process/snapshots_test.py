#!/usr/bin/python3
"""Snapshots with real clients: taken while a stamped load runs, restored to new volumes and compared with what the load
says could be true at one point in time; kill -9 in the middle of captures and restores; groups; damage."""
import glob
import os
import threading
import time
import unittest

import node
import stamped_load
import suite

nbd = suite.need_nbd()
MiB = node.MiB


class FullHistory(stamped_load.Load):
    """Keeps every write of a sector: what a snapshot may hold is judged after later writes have superseded it."""

    def _remember(self, sector, write):
        self.history.setdefault(sector, [None]).append(write)

    def complaints_of_snapshot(self, connection, before, after):
        """`before`, `after`: this load's ticks around the command. One point in time: if a write is in it, so is
        every write that was acknowledged before that one was issued."""
        found_of, newest = {}, before
        for sector, known in self.history.items():
            data = connection.pread(stamped_load.SECTOR, sector * stamped_load.SECTOR)
            found = [w for w in known if self.expected(sector, w) == data and (w is None or w.issued <= after)]
            if not found:
                return [f"sector {sector} holds {self.describe(data)}"]
            found_of[sector] = found
            if len(found) == 1 and found[0] is not None:
                newest = max(newest, found[0].issued)
        complaints = []
        for sector, known in self.history.items():
            floor = max((w.issued for w in known if w and w.acknowledged and w.acknowledged < newest), default=0)

            def allowed(write):
                if floor == 0:
                    return True
                return write is not None and not (write.acknowledged and write.acknowledged < floor)
            if not any(allowed(w) for w in found_of[sector]):
                complaints.append(f"sector {sector}: an acknowledged write is missing")
        return complaints


def connected(served, export):
    handle = nbd.NBD()
    handle.connect_uri(served.uri(export))
    return handle


def content(served, export):
    handle = connected(served, export)
    size = handle.get_size()
    out = b"".join(handle.pread(min(MiB, size - at), at) for at in range(0, size, MiB))
    handle.shutdown()
    return out


def layers_in(served):
    return glob.glob(os.path.join(served.data_dir, "layers", "*", "*"))


class snapshots(unittest.TestCase):
    def test_points_in_time_under_load(self):
        random_ = suite.seeded()
        size = 16 * MiB
        with node.Node({"db": size}) as served:
            load = FullHistory(random_, size, 7)
            connections = [connected(served, "db") for _ in range(2)]
            stop = threading.Event()
            runner = threading.Thread(target=load.run, args=(connections, stop.is_set))
            runner.start()
            taken = []
            try:
                for _ in range(3):
                    time.sleep(0.3)
                    before = load.tick
                    info = served.cli_json("snapshot", "create", "db")
                    taken.append((info["id"], before, load.tick))
                    node.wait_until(lambda: served.cli_json("snapshot", "show", info["id"])["state"] == "complete", 120,
                                    "the capture is complete")
            finally:
                stop.set()
                runner.join()
            self.assertGreater(load.acknowledged, 100)
            kinds = [s["parent"] for s in served.cli_json("snapshot", "ls")]
            self.assertEqual(kinds, ["", taken[0][0], taken[1][0]])
            for number, (identity, before, after) in enumerate(taken):
                served.cli("snapshot", "verify", identity)
                served.cli("snapshot", "restore", identity, "--to", f"copy{number}", "--wait")
                copy = connected(served, f"copy{number}")
                self.assertEqual(load.complaints_of_snapshot(copy, before, after)[:5], [])
                copy.shutdown()
            final = served.cli_json("snapshot", "create", "db", "--wait")
            served.cli("snapshot", "restore", final["id"], "--to", "last", "--wait")
            self.assertEqual(content(served, "last"), content(served, "db"))
            # The older ones go, what the newest needs stays.
            for identity, _, _ in taken:
                served.cli("snapshot", "rm", identity)
            served.cli("snapshot", "restore", final["id"], "--to", "again", "--wait")
            self.assertEqual(content(served, "again"), content(served, "db"))
            served.cli("snapshot", "rm", final["id"])
            self.assertEqual(layers_in(served), [])

    def test_a_kill_in_the_middle_of_captures_and_restores(self):
        random_ = suite.seeded()
        size = 96 * MiB
        served = node.Node({"db": size}).start()
        fill = connected(served, "db")
        for at in range(0, size, MiB):
            fill.pwrite(random_.randbytes(MiB), at)
        first = served.cli_json("snapshot", "create", "db", "--wait")
        for round_ in range(4):
            for _ in range(8):
                fill.pwrite(random_.randbytes(4096), random_.randrange(size // 4096) * 4096)
            expected = content(served, "db")
            served.cli("snapshot", "create", "db")
            time.sleep(random_.random() * 0.05)
            served.kill()
            served.start()
            self.assertEqual([f for f in layers_in(served) if f.endswith(".unsealed")], [])
            for snapshot in served.cli_json("snapshot", "ls"):
                self.assertEqual(snapshot["state"], "complete")
            fill = connected(served, "db")
            self.assertEqual(content(served, "db"), expected)
            taken = served.cli_json("snapshot", "create", "db", "--wait")
            self.assertEqual(taken["state"], "complete")
            served.cli("snapshot", "restore", taken["id"], "--to", f"copy{round_}")
            time.sleep(random_.random() * 0.05)
            served.kill()
            served.start()
            node.wait_until(lambda: any(v["name"] == f"copy{round_}" and v["state"] == "serving"
                                        for v in served.cli_json("volume", "ls")), 180, "the restored volume is served")
            self.assertEqual(content(served, f"copy{round_}"), expected)
            fill = connected(served, "db")
        self.assertEqual(served.cli("snapshot", "verify", first["id"]).returncode, 0)
        self.assertEqual(served.stop(), 0)

    def test_a_group_is_one_point_in_time(self):
        with node.Node({"a": 4 * MiB, "b": 4 * MiB}) as served:
            served.cli("group", "create", "pair", "--volumes", "a,b")
            stop = threading.Event()

            def write():
                a, b, number = connected(served, "a"), connected(served, "b"), 0
                while not stop.is_set():
                    number += 1
                    a.pwrite(number.to_bytes(8, "little") * 64, 0)
                    b.pwrite(number.to_bytes(8, "little") * 64, 0)
            writer = threading.Thread(target=write)
            writer.start()
            try:
                for cut in range(5):
                    info = served.cli_json("group", "snapshot", "pair", "--wait")
                    self.assertEqual(info["failure"], "")
                    self.assertTrue(all(m["held_us"] <= 1_000_000 for m in info["members"]))
                    number = {}
                    for member in info["members"]:
                        name = f"{member['volume']}{cut}"
                        served.cli("snapshot", "restore", member["snapshot"], "--to", name, "--wait")
                        copy = connected(served, name)
                        number[member["volume"]] = int.from_bytes(copy.pread(512, 0)[:8], "little")
                        copy.shutdown()
                    self.assertIn(number["a"] - number["b"], (0, 1), number)
            finally:
                stop.set()
                writer.join()
            self.assertEqual(served.cli_json("group", "status", "pair")["complete"], 5)
            refused = served.cli("group", "create", "other", "--volumes", "a", check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("pair", refused.stderr)

    def test_damage_is_found_and_named(self):
        with node.Node({"db": 4 * MiB}) as served:
            db = connected(served, "db")
            db.pwrite(os.urandom(MiB), 0)
            taken = served.cli_json("snapshot", "create", "db", "--wait")
            (path,) = layers_in(served)
            with open(path, "r+b") as file:
                file.seek(100_000)
                byte = file.read(1)
                file.seek(100_000)
                file.write(bytes([byte[0] ^ 1]))
            checked = served.cli("snapshot", "verify", taken["id"], check=False)
            self.assertEqual(checked.returncode, 1)
            self.assertIn("checksum", checked.stdout)
            restored = served.cli("snapshot", "restore", taken["id"], "--to", "copy", "--wait", check=False)
            self.assertEqual(restored.returncode, 1)
            self.assertNotEqual([v["state"] for v in served.cli_json("volume", "ls") if v["name"] == "copy"], ["serving"])


if __name__ == "__main__":
    suite.main()
