#!/usr/bin/python3
"""Importing the past into a real node: a trace and a series become heat and forecasts, survive a kill, are not taken
twice by mistake, and what cannot be right is refused with the remedy."""
import gzip
import math
import os
import unittest

import node
import suite

MiB = node.MiB
HEADER = "time_us,volume,op,offset_bytes,length_bytes\n"


def tide(path, volume="db", hours=3, chunk=16 * MiB):
    """A request every four seconds, on chunk 1 mostly; from 0 us on. Returns how many."""
    lines = [HEADER]
    for second in range(0, hours * 3600, 4):
        for i in range(2 + round(math.sin(second / 900))):
            at = chunk if i == 0 else (second // 4 % 4) * chunk
            lines.append(f"{second * 1000000},{volume},{'RW'[i % 2]},{at},4096\n")
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "wt") as out:
        out.write("".join(lines))
    return len(lines) - 1


class importing(unittest.TestCase):
    def test_a_trace_is_learned_and_survives_a_kill(self):
        with node.Node({"db": 64 * MiB}) as served:
            path = os.path.join(served.folder, "t.csv.gz")
            requests = tide(path)
            refused = served.cli("history", "import", path, "--volume", "db", check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("--end-at now", refused.stderr)
            self.assertEqual(refused.stderr.count("\n"), 1)
            done = served.cli_json("history", "import", path, "--volume", "db", "--end-at", "now")
            self.assertEqual((done["requests"], done["too_old"], done["beyond"]), (requests, 0, 0))
            self.assertGreater(done["rows"], 300)
            self.assertEqual(done["to_us"] - done["from_us"], (3 * 3600 - 4) * 1000000)
            self.assertIn("importer", served.cli("actors").stdout)
            self.assert_learned(served)
            served.kill()
            served.start()
            self.assert_learned(served)
            # The same records, compressed or not, count once.
            plain = os.path.join(served.folder, "same.csv")
            tide(plain)
            twice = served.cli("history", "import", plain, "--volume", "db", "--end-at", "now", check=False)
            self.assertEqual(twice.returncode, 1)
            self.assertIn("already_exists", twice.stderr)
            self.assertIn("--again", twice.stderr)
            again = served.cli_json("history", "import", plain, "--volume", "db", "--end-at", "now", "--again")
            self.assertEqual(again["requests"], requests)

    def assert_learned(self, served):
        def hottest():
            heat = served.cli_json("heat", "db")
            return heat["hottest"][0]["chunk"] if heat.get("hottest") else None
        node.wait_until(lambda: hottest() == 1, 120, "the imported chunk is the hottest")
        forecast = served.cli_json("forecast", "db")
        self.assertGreater(forecast["past_slots"], 100)
        self.assertTrue(all(math.isfinite(x) for x in forecast["ahead"]))

    def test_a_series_of_counters(self):
        with node.Node({"db": 64 * MiB}) as served:
            path = os.path.join(served.folder, "s.csv")
            with open(path, "w") as out:
                out.write("time_us,volume,reads,writes,read_bytes,write_bytes,colour\n")
                for slot in range(96):
                    out.write(f"{slot * 1800000000},w01,{100 + slot},10,409600,40960,7\n")
            done = served.cli_json("history", "import", path, "--volume", "db", "--end-at", "now")
            self.assertEqual(done["requests"], sum(110 + slot for slot in range(96)))
            self.assertEqual(done["unused_columns"], ["colour"])
            self.assertEqual(done["rows"], 0)
            self.assertGreater(served.cli_json("forecast", "db")["past_slots"], 500)

    def test_what_cannot_be_imported_says_why(self):
        with node.Node({"db": 64 * MiB}) as served:
            path = os.path.join(served.folder, "t.csv")

            def refused(text, *words, code=1):
                with open(path, "w") as out:
                    out.write(text)
                done = served.cli("history", "import", path, "--volume", "db", *words, check=False)
                self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
                return done.stderr

            self.assertIn("choose one with --from", refused(HEADER + "1,a,R,0,512\n2,b,R,0,512\n", "--end-at", "now"))
            self.assertIn("holds no volume c", refused(HEADER + "1,a,R,0,512\n", "--from", "c"))
            self.assertIn("corrupt", refused(HEADER + "1,a,R,0,512\nnonsense\n", "--end-at", "now"))
            self.assertIn("future", refused(HEADER + "32503680000000000,a,R,0,512\n"))
            self.assertIn("holds no records", refused(HEADER, "--end-at", "now"))
            self.assertIn("none of the columns", refused("time_us,volume,colour\n0,w,1\n", "--end-at", "now"))
            refused(HEADER + "1,a,R,0,512\n", "--end-at", "tomorrow", code=2)
            missing = served.cli("history", "import", path, "--volume", "nope", check=False)
            self.assertIn("not_found", missing.stderr)
            # Load beyond the volume's end counts, in no chunk.
            with open(path, "w") as out:
                out.write(HEADER + f"1,a,R,{1 << 40},512\n")
            self.assertEqual(served.cli_json("history", "import", path, "--volume", "db", "--end-at", "now")["beyond"], 1)


if __name__ == "__main__":
    suite.main()
