#!/usr/bin/python3
"""Snapshots with real clients: taken while a stamped load runs, restored to new volumes and compared with what the load
says could be true at one point in time; kill -9 in the middle of captures and restores; groups; damage."""
import glob
import os
import shutil
import sys
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


def filled(served, export, random_):
    """A connection that has written random bytes to all of the volume."""
    handle = connected(served, export)
    for at in range(0, handle.get_size(), MiB):
        handle.pwrite(random_.randbytes(MiB), at)
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
        fill = filled(served, "db", random_)
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
            # Served at once after the restart, filled or not; and filled in the end.
            self.assertEqual(content(served, f"copy{round_}"), expected)
            node.wait_until(lambda: not any(not r["done"] for r in served.cli_json("snapshot", "restores")), 180,
                            "the restore is over")
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
            # What is damaged is an error to whoever reads it, never other content.
            copy = connected(served, "copy")
            with self.assertRaises(nbd.Error):
                for at in range(0, MiB, 65536):
                    copy.pread(65536, at)
            copy.shutdown()

    def test_a_restored_volume_is_used_while_it_is_filled_and_killed(self):
        random_ = suite.seeded()
        size = 256 * MiB
        served = node.Node({"db": size}).start()
        fill = filled(served, "db", random_)
        taken = served.cli_json("snapshot", "create", "db", "--wait")
        model = bytearray(content(served, "db"))
        for round_ in range(3):
            name = f"copy{round_}"
            verb = (["snapshot", "restore", taken["id"], "--to", name] if round_ else
                    ["volume", "create", name, "--from", taken["id"]])
            begun = served.cli_json(*verb)
            self.assertEqual(begun["problem"], "")
            copy = connected(served, name)
            offset = random_.randrange(size // 4096) * 4096
            self.assertEqual(copy.pread(4096, offset), bytes(model[offset:offset + 4096]))
            expected = bytearray(model)
            for _ in range(40):
                length = random_.choice([512, 4096, 65536, 200_000 // 512 * 512])
                offset = random_.randrange((size - length) // 512) * 512
                if random_.random() < 0.3:
                    copy.trim(length, offset)
                    copy.zero(length, offset)
                    expected[offset:offset + length] = bytes(length)
                else:
                    data = random_.randbytes(length)
                    copy.pwrite(data, offset)
                    expected[offset:offset + length] = data
            served.kill()  # what was answered is kept by the page cache
            served.start()
            self.assertEqual(content(served, name), bytes(expected))
            node.wait_until(lambda: not any(not r["done"] for r in served.cli_json("snapshot", "restores")), 300,
                            "the restore is over")
            self.assertEqual(content(served, name), bytes(expected))
            served.stop()
            served.start()
            self.assertEqual(content(served, name), bytes(expected))
        # A volume that is not filled yet keeps the layers it needs, and what was restored needs none.
        served.cli("snapshot", "rm", taken["id"])
        self.assertEqual(layers_in(served), [])
        self.assertEqual(content(served, "copy2"), bytes(expected))
        self.assertEqual(served.stop(), 0)

    def test_zeros_stay_sparse_in_a_restored_volume(self):
        with node.Node({"db": 512 * MiB}) as served:
            db = connected(served, "db")
            db.pwrite(os.urandom(MiB), 100 * MiB)
            taken = served.cli_json("snapshot", "create", "db", "--wait")
            served.cli("snapshot", "restore", taken["id"], "--to", "copy", "--wait")
            self.assertEqual(content(served, "copy"), content(served, "db"))
            (path,) = [v["path"] for v in [served.cli_json("volume", "show", "copy")]]
            self.assertLess(os.stat(path).st_blocks * 512, 16 * MiB)

    def test_merges_and_retention_keep_every_snapshot_that_is_left(self):
        random_ = suite.seeded()
        size = 16 * MiB
        with node.Node({"db": size}) as served:
            served.cli("group", "create", "nightly", "--volumes", "db", "--retain", "2")
            db = connected(served, "db")
            kept = []
            for round_ in range(4):
                for _ in range(20):
                    db.pwrite(random_.randbytes(65536), random_.randrange(size // 65536) * 65536)
                info = served.cli_json("group", "snapshot", "nightly", "--wait")
                kept.append((info["members"][0]["snapshot"], content(served, "db")))
            node.wait_until(lambda: served.cli_json("group", "status", "nightly")["complete"] == 2, 60, "two are kept")
            self.assertEqual([s["id"] for s in served.cli_json("snapshot", "ls")], [k[0] for k in kept[2:]])
            self.assertEqual(len(layers_in(served)), 4)  # the older ones lie below
            merged = served.cli_json("snapshot", "merge", kept[2][0])
            self.assertEqual((merged["parent"], merged["layers"]), ("", 1))
            self.assertEqual(len(layers_in(served)), 2)
            for number, (identity, expected) in enumerate(kept[2:]):
                served.cli("snapshot", "verify", identity)
                served.cli("snapshot", "restore", identity, "--to", f"copy{number}")
                self.assertEqual(content(served, f"copy{number}"), expected)
            served.kill()
            served.start()
            self.assertEqual(content(served, "copy0"), kept[2][1])

    def test_a_group_takes_its_snapshots_in_time_and_says_when_it_does_not(self):
        with node.Node({"db": 4 * MiB}) as served:
            refused = served.cli("group", "create", "g", "--volumes", "db", "--every", "1h", "--latest-by", "10m",
                                 check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("--latest-by", refused.stderr)
            served.cli("group", "create", "nightly", "--volumes", "db", "--every", "10s", "--latest-by", "12s")
            taken = node.wait_until(lambda: served.cli_json("group", "status", "nightly")["complete"] >= 2 or None, 120,
                                    "two snapshots by the plan", every=0.2)
            self.assertTrue(taken)
            self.assertLessEqual(served.metric("gnomon_group_snapshot_age_seconds"), 12)
            served.kill()
            served.start()
            status = served.cli_json("group", "status", "nightly")
            self.assertGreaterEqual(status["complete"], 2)
            self.assertEqual(status["next"]["reason"] in ("schedule", "deadline"), True)
            # Where layers cannot be written the bound is missed, and /health says so.
            layers = os.path.join(served.data_dir, "layers")
            os.rename(layers, layers + ".away")
            with open(layers, "w") as file:
                file.write("no folder")
            node.wait_until(lambda: any("nightly" in p and "good snapshot" in p
                                        for p in served.cli_json("status")["problems"]), 120,
                            "the missed bound is said", every=0.5)
            os.unlink(layers)
            os.rename(layers + ".away", layers)
            node.wait_until(lambda: not served.cli_json("status")["problems"], 120, "it is good again", every=0.5)

    def test_snapshots_go_into_predicted_quiet_windows(self):
        with node.Node({"db": 64 * MiB}, config={"forecast": {"refit_every": "10s"}}) as served:
            served.cli("group", "create", "nightly", "--volumes", "db", "--prediction", "on")
            plan = served.cli_json("group", "plan", "nightly")
            self.assertTrue(plan["prediction"])
            self.assertNotEqual(plan["fallback"], "")  # nothing was observed yet, and it says so
            self.assertTrue(all(layer["reason"] == "schedule" for layer in plan["layers"]))
            # Four days in which six hours of each, 9 to 15 hours before now, were quiet.
            path = os.path.join(served.folder, "s.csv")
            days, slot = 4, 300
            slots = days * 86400 // slot
            with open(path, "w") as out:
                out.write("time_us,volume,reads,writes,read_bytes,write_bytes\n")
                for i in range(slots):
                    before = (slots - i) * slot / 3600 % 24
                    load = 5 if 9 <= before < 15 else 400
                    out.write(f"{i * slot * 1000000},db,{load},{load},{load * 4096},{load * 4096}\n")
            served.cli("history", "import", path, "--volume", "db", "--end-at", "now")

            def planned():
                found = served.cli_json("group", "plan", "nightly")
                return found if found["fallback"] == "" else None
            plan = node.wait_until(planned, 300, "the forecast is planned by", every=1)
            reasons = [layer["reason"] for layer in plan["layers"]]
            self.assertIn("quiet window", reasons)
            quiet = [((layer["start_us"] - plan["from_us"]) / 3600e6) for layer in plan["layers"]
                     if layer["reason"] == "quiet window" and layer["load_fraction"] < 0.3]
            self.assertTrue(all(8 <= hours <= 16 for hours in quiet), quiet)
            self.assertGreaterEqual(len(plan["layers"]), 20)
            self.assertIn("quiet window", served.cli("group", "plan", "nightly").stdout)
            # A person says what is coming: nothing is planned into it.
            begin = plan["from_us"] / 1e6 + 10 * 3600
            served.cli("event", "add", "--type", "backup", "--volume", "db", "--start",
                       time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begin)), "--duration", "30m")
            for layer in served.cli_json("group", "plan", "nightly")["layers"]:
                at = layer["start_us"] / 1e6
                self.assertFalse(begin - 60 < at < begin + 1800, (at - begin, layer))
            served.kill()
            served.start()
            again = served.cli_json("group", "status", "nightly")
            self.assertTrue(again["prediction"])
            self.assertGreaterEqual(again["complete"] + (again["next_us"] > 0), 1)

    def test_a_difference_names_every_changed_byte(self):
        random_ = suite.seeded()
        size = 32 * MiB
        with node.Node({"db": size}) as served:
            db = connected(served, "db")
            db.pwrite(random_.randbytes(8 * MiB), 0)
            first = served.cli_json("snapshot", "create", "db", "--wait")
            before = content(served, "db")
            for _ in range(30):
                db.pwrite(random_.randbytes(512), random_.randrange(size // 512) * 512)
            db.zero(MiB, 4 * MiB)
            second = served.cli_json("snapshot", "create", "db", "--wait")
            after = content(served, "db")
            whole = served.cli_json("snapshot", "diff", first["id"], second["id"])
            self.assertEqual(whole["next_offset"], size)
            copy = bytearray(before)
            for extent in whole["extents"]:
                begin, end = extent["offset"], extent["offset"] + extent["length"]
                copy[begin:end] = bytes(end - begin) if extent["zero"] else after[begin:end]
            self.assertEqual(bytes(copy), after)
            self.assertLess(sum(e["length"] for e in whole["extents"]), 4 * MiB)
            part = served.cli_json("snapshot", "diff", first["id"], second["id"], "--max", "3")
            self.assertEqual(part["extents"], whole["extents"][:3])
            rest = served.cli_json("snapshot", "diff", first["id"], second["id"], "--from-offset",
                                   str(part["next_offset"]))
            self.assertEqual(part["extents"] + rest["extents"], whole["extents"])

    def test_an_incremental_backup_equals_a_full_one(self):
        if not all(map(shutil.which, ("nbdcopy", "qemu-img"))):
            self.skipTest("needs nbdcopy and qemu-img")
        random_ = suite.seeded()
        size = 24 * MiB
        script = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "incremental_backup.py")
        served = node.Node({"db": size}).start()
        image = os.path.join(served.folder, "db.raw")
        uri = f"nbd+unix:///{{}}?socket={served.socket_path}"
        for round_ in range(4):
            db = connected(served, "db")
            for _ in range(20):
                db.pwrite(random_.randbytes(4096), random_.randrange(size // 4096) * 4096)
            db.zero(65536, random_.randrange(size // 65536) * 65536)
            if round_ == 2:
                served.kill()  # what changed is known again after a kill
                served.start()
            done = node.run([sys.executable, "-B", script, "--gnomon", node.GNOMON, "--config", served.config_path,
                             "--uri", uri, "db", image])
            self.assertIn("full backup" if round_ == 0 else "bytes changed", done.stdout)
            node.run(["qemu-img", "compare", "-f", "raw", "-F", "raw", image, served.uri("db")])
            with open(image, "rb") as file:
                self.assertEqual(file.read(), content(served, "db"))
        self.assertEqual([v["name"] for v in served.cli_json("volume", "ls")], ["db"])
        self.assertEqual(len(served.cli_json("snapshot", "ls")), 1)
        self.assertEqual(served.stop(), 0)


if __name__ == "__main__":
    suite.main()
