#!/usr/bin/python3
"""The prediction board of a real node: it knows loads, hot sets and users without a question, also after kill -9; and what
is learned stays within its memory while volumes are scanned."""
import unittest

import node
import suite

nbd = suite.need_nbd()
CHUNK = 16 * node.MiB
LIMIT = 300  # seconds; generous: what is shown is judged, not how fast


def touch(served, export, chunks, reads=20):
    connection = nbd.NBD()
    connection.connect_uri(served.uri(export))
    for chunk in chunks:
        for i in range(reads):
            connection.pread(4096, chunk * CHUNK + i * 4096)
    connection.shutdown()


def entry(served, volume="db"):
    found = served.cli_json("board", volume)["volumes"]
    return found[0] if found else None


class board(unittest.TestCase):
    def test_it_knows_load_hot_sets_and_users_without_a_question(self):
        instances = [{"id": "web", "volumes": ["db"], "application": "shop"}, {"id": "batch", "volumes": ["db"]}]
        with node.Node({"db": 64 * CHUNK, "idle": 4 * CHUNK},
                       config={"instances": instances, "forecast": {"refit_every": "10s"}}) as served:
            def with_load():
                touch(served, "db@instance:web", [3, 5])
                touch(served, "db@instance:batch", [9])
                found = entry(served)
                return found if found and found["horizons"] and len(found["users"]) == 2 and found["hot_sets"] else None
            found = node.wait_until(with_load, LIMIT, "an entry with load, hot sets and users", every=1)
            self.assertEqual([h["ahead_us"] for h in found["horizons"]], [300e6, 1800e6, 7200e6])
            self.assertEqual(set(found["horizons"][0]["loads"]), {"requests", "bytes", "reads", "writes"})
            loads = found["horizons"][0]["loads"]
            self.assertAlmostEqual(loads["reads"]["per_second"], loads["requests"]["per_second"])
            self.assertEqual(loads["writes"]["per_second"], 0)
            users = {user["instance"]: user for user in found["users"]}
            self.assertEqual(set(users), {"web", "batch"})
            self.assertEqual(users["web"]["application"], "shop")
            hot = {name: {c["chunk"] for c in user["hot_sets"][0]["chunks"]} for name, user in users.items()}
            # The method in use may add the neighbours of what was read; nobody gets another instance's chunks.
            self.assertLessEqual({3, 5}, hot["web"])
            self.assertLessEqual({9}, hot["batch"])
            self.assertFalse(hot["web"] & hot["batch"])
            self.assertEqual({c["chunk"] for c in found["chunks"]}, {3, 5, 9})
            self.assertTrue(found["quiet"], "no quiet window is named")
            # All of it in short, with an idle volume that nobody ever asked for.
            whole = served.cli_json("board")
            node.wait_until(lambda: {v["name"] for v in served.cli_json("board")["volumes"]} == {"db", "idle"}, LIMIT,
                            "the idle volume's entry", every=1)
            self.assertEqual([a["name"] for a in whole["applications"]], ["shop"])
            self.assertIn("db", served.cli("board").stdout)
            self.assertIn("web", served.cli("board", "db").stdout)
            self.assertEqual(served.cli("board", "nothing", check=False).returncode, 1)
            self.assertGreater(served.metric("gnomon_board_volumes"), 0)
            # What was learned a while ago comes back by itself after a crash.
            served.cli("heat", "db")  # the open slot goes to the history
            node.wait_until(lambda: served.metric("gnomon_history_rows_total"), LIMIT, "rows in the history")
            served.kill()
            served.start()
            again = node.wait_until(lambda: (lambda e: e if e and e["hot_sets"] and e["horizons"] else None)(entry(served)),
                                    LIMIT, "the entry after the crash", every=1)
            self.assertTrue({3, 5, 9} & {c["chunk"] for c in again["hot_sets"][0]["chunks"]})

    def test_scans_stay_within_the_memory_for_learning(self):
        bound = node.MiB
        volumes = {f"v{n}": 4096 * CHUNK for n in range(6)}
        with node.Node(volumes, config={"forecast": {"memory_max": node.size_text(bound)}}) as served:
            for name in volumes:
                touch(served, name, range(4096), reads=1)

            def learned_bytes():
                touch(served, "v5", range(64), reads=1)  # idle patterns may be unloaded already
                return served.metric("gnomon_learned_bytes")
            node.wait_until(lambda: 0 < learned_bytes() <= bound, LIMIT, "learned memory within its bound", every=1)
            self.assertEqual(served.metric("gnomon_observation_unplaced_requests_total"), 0)
            # A pattern that was unloaded, or shrunk, comes back with a question.
            self.assertEqual(served.cli_json("heat", "v0")["requests"], 4096)


if __name__ == "__main__":
    unittest.main()
