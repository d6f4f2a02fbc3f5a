#!/usr/bin/python3
"""What a node learns from its clients: the heat map, who touches which chunks, what instances are - on a running node,
while actors die, and after kill -9."""
import os
import pty
import subprocess
import unittest

import node
import suite

nbd = suite.need_nbd()
MiB = node.MiB
CHUNK = 16 * MiB
SIZE = 16 * CHUNK
LIMIT = 120  # seconds; generous: what is shown is judged, not how fast


def connect(served, export):
    connection = nbd.NBD()
    connection.connect_uri(served.uri(export))
    return connection


def touch(connection, chunk, reads=0, writes=0):
    for i in range(max(reads, writes)):
        offset = chunk * CHUNK + (i % 4096) * 4096
        if i < reads:
            connection.pread(4096, offset)
        if i < writes:
            connection.pwrite(b"x" * 4096, offset)


def heat(served, volume="db", *more):
    return served.cli_json("heat", volume, "--rows", "16", "--columns", "20", *more)


def requests_by_chunk(view):
    """A chart of 16 rows of a volume of 16 chunks."""
    return [round(sum(row), 3) for row in view["picture_requests"]]


def wait_for_heat(served, requests, volume="db"):
    def shown():
        view = heat(served, volume)
        return view if view["requests"] >= requests else None
    return node.wait_until(shown, LIMIT, f"{requests} requests in the heat map", every=0.3)


INSTANCES = [{"id": "web", "volumes": ["db"], "application": "nginx", "criticality": "high", "sla": {"rpo": "1h"}},
             {"id": "batch", "volumes": ["db", "log"]}]


class learning(unittest.TestCase):
    def test_the_heat_map_shows_what_clients_did_and_where(self):
        with node.Node({"db": SIZE, "quiet": SIZE}) as served:
            connection = connect(served, "db")
            touch(connection, 3, reads=200, writes=100)
            touch(connection, 9, writes=50)
            view = wait_for_heat(served, 350)
            by_chunk = requests_by_chunk(view)
            self.assertEqual(view["chunk_bytes"], CHUNK)
            self.assertEqual((by_chunk[3], by_chunk[9]), (300, 50))
            self.assertEqual(sum(by_chunk), view["requests"])
            self.assertEqual([c for c in range(16) if by_chunk[c] > 0 and c not in (3, 9)], [])
            hottest = view["hottest"]
            self.assertEqual([c["chunk"] for c in hottest], [3, 9])
            self.assertAlmostEqual(hottest[0]["write_share"], 1 / 3, delta=0.01)
            self.assertEqual(hottest[1]["write_share"], 1)
            self.assertEqual(sum(view["kinds"].values()), view["known_chunks"])
            self.assertEqual(len(view["localities"]), 1)
            self.assertTrue(view["localities"][0]["instance"].startswith("anonymous:"))
            self.assertEqual(view["localities"][0]["chunks"], [3, 9])
            for took in (hottest[0]["latency"]["reads"], hottest[1]["latency"]["writes"],
                         view["localities"][0]["latency"]["reads"]):
                self.assertGreater(took["p50_us"], 0)
                self.assertGreaterEqual(took["p99_us"], took["p50_us"])
            self.assertEqual(hottest[1]["latency"]["reads"], {"p50_us": 0, "p99_us": 0})
            self.assertEqual([s["horizon_us"] for s in view["hot_sets"]], [300e6, 1800e6, 7200e6])
            # An instance has a profile soon after it was seen, and its latency is published every ten seconds.
            name = view["localities"][0]["instance"]
            def timed():
                return [who for who in served.cli_json("instance", "ls")
                        if who["id"] == name and who["latency"]["reads"]["p50_us"] > 0]
            node.wait_until(timed, LIMIT, "the instance's latency", every=0.5)
            node.wait_until(lambda: served.cli("instance", "show", name, check=False).returncode == 0, LIMIT, name)
            self.assertIn("half within", served.cli("instance", "show", name).stdout)
            quiet = heat(served, "quiet")
            self.assertEqual((quiet["requests"], quiet["known_chunks"]), (0, 0))
            connection.shutdown()

    def test_people_get_a_chart(self):
        with node.Node({"db": SIZE}) as served:
            plain = served.cli("heat", "db").stdout
            self.assertIn("nothing was read or written yet", plain)
            connection = connect(served, "db")
            touch(connection, 3, reads=200)
            wait_for_heat(served, 200)
            plain = served.cli("heat", "db", "--since", "10m").stdout
            self.assertIn("db  256MiB in 16 chunks of 16MiB, 1 seen", plain)
            self.assertRegex(plain, r" 0B [┤|]")
            self.assertNotIn("\033", plain)
            terminal, ours = pty.openpty()  # a terminal gets colour
            shown = subprocess.Popen([node.GNOMON, "--config", served.config_path, "heat", "db"], stdout=ours,
                                     stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm-256color", "LC_ALL": ""})
            os.close(ours)
            drawn = b""
            while True:
                try:
                    part = os.read(terminal, 65536)
                except OSError:  # the terminal's other side is closed
                    break
                if not part:
                    break
                drawn += part
            self.assertEqual(shown.wait(LIMIT), 0)
            os.close(terminal)
            self.assertIn(b"\033[38;5;", drawn)
            self.assertIn("▀".encode(), drawn)
            self.assertEqual(served.cli("heat", "nosuch", check=False).returncode, 1)
            self.assertEqual(served.cli("heat", "db", "--rows", "0", check=False).returncode, 2)
            connection.shutdown()

    def test_what_was_learned_survives_kill_9(self):
        served = node.Node({"db": SIZE})
        with served:
            connection = connect(served, "db")
            touch(connection, 3, reads=300)
            touch(connection, 9, writes=100)
            before = wait_for_heat(served, 400)
            served.kill()
        with served:
            after = wait_for_heat(served, 400)
            self.assertEqual(requests_by_chunk(after), requests_by_chunk(before))
            self.assertEqual([c["chunk"] for c in after["hottest"]], [3, 9])
            connection = connect(served, "db")
            touch(connection, 9, writes=50)  # and goes on from there
            self.assertEqual(requests_by_chunk(wait_for_heat(served, 450))[9], 150)
            connection.shutdown()
        with served:  # after a clean stop, too
            self.assertEqual(requests_by_chunk(wait_for_heat(served, 450))[9], 150)

    def test_no_client_and_no_history_suffers_from_actors_that_die(self):
        with node.Node({"db": SIZE}) as served:
            connection = connect(served, "db")
            total = 0
            for victim in ("observer", "pattern/db", "patterns", "instance_registry", "instances", "pattern/db"):
                touch(connection, 3, reads=100)
                total += 100
                wait_for_heat(served, total)
                served.cli("ask", victim, "kill")
                node.wait_until(lambda: all(a["state"] == "running" for a in served.cli_json("actors")), LIMIT,
                                f"{victim} runs again", every=0.1)
            touch(connection, 3, reads=100)
            view = wait_for_heat(served, total + 100)
            self.assertEqual(requests_by_chunk(view)[3], total + 100)
            connection.shutdown()

    def test_instances_are_told_apart_and_known(self):
        config = {"instances": INSTANCES}
        served = node.Node({"db": SIZE, "log": SIZE}, config=config)
        with served:
            web, batch = connect(served, "db@instance:web"), connect(served, "log@instance:batch")
            touch(web, 3, reads=300)
            touch(web, 4, writes=100)
            touch(batch, 5, writes=200)
            wait_for_heat(served, 400)
            wait_for_heat(served, 200, "log")
            listed = {i["id"]: i for i in served.cli_json("instance", "ls")}
            self.assertEqual(set(listed), {"web", "batch"})
            self.assertEqual((listed["web"]["application"], listed["web"]["criticality"]), ("nginx", "high"))
            self.assertEqual(listed["web"]["requests_last_hour"], 400)
            self.assertEqual((listed["web"]["connections"], listed["web"]["volumes"]), (1, 1))
            shown = served.cli_json("instance", "show", "web")
            self.assertEqual(shown["allowed_volumes"], ["db"])
            self.assertEqual([v["name"] for v in shown["touched_volumes"]], ["db"])
            volume = shown["touched_volumes"][0]
            self.assertEqual([c["chunk"] for c in volume["chunks"]], [3, 4])
            self.assertEqual((volume["requests"], volume["share_of_volume"]), (400, 1))
            self.assertEqual(volume["write_share"], 0.25)
            self.assertEqual(len(volume["hot_sets"]), 3)
            self.assertTrue(shown["predicted"] or shown["why_not_predicted"])
            self.assertIn("nginx", served.cli("instance", "show", "web").stdout)
            self.assertEqual([l["instance"] for l in heat(served, "log")["localities"]], ["batch"])
            web.shutdown()
            batch.shutdown()

    def test_what_an_operator_says_of_an_instance_lasts(self):
        served = node.Node({"db": SIZE}, config={"instances": INSTANCES[:1]})
        with served:
            said = served.cli_json("instance", "set", "web", "--application", "postgresql", "--rpo", "5m", "--host", "r7")
            self.assertEqual((said["application"], said["criticality"]), ("postgresql", "high"))
            self.assertEqual(said["sla"]["rpo_us"], 300_000_000)
            served.cli("instance", "set", "spare", "--criticality", "low")
            self.assertEqual(served.cli("instance", "set", "web", check=False).returncode, 2)
            self.assertEqual(served.cli("instance", "set", "no spaces", "--host", "x", check=False).returncode, 1)
            self.assertEqual(served.cli("instance", "show", "nobody", check=False).returncode, 1)
            served.kill()
        with served:
            listed = {i["id"]: i for i in served.cli_json("instance", "ls")}
            self.assertEqual((listed["web"]["application"], listed["web"]["host"]), ("postgresql", "r7"))
            self.assertEqual(listed["spare"]["criticality"], "low")
            served.cli_json("instance", "show", "spare")
            back = served.cli_json("instance", "set", "web", "--reset")
            self.assertEqual((back["application"], back["sla"]["rpo_us"], back["set_by_hand"]),
                             ("nginx", 3_600_000_000, False))
            served.cli("instance", "set", "spare", "--reset")  # nothing is left of it
            self.assertEqual([i["id"] for i in served.cli_json("instance", "ls")], ["web"])

    def test_heat_goes_with_a_volume_that_is_renamed(self):
        with node.Node({"db": SIZE}) as served:
            served.cli("volume", "create", "old", "256MiB")
            connection = connect(served, "old")
            touch(connection, 3, reads=100)
            wait_for_heat(served, 100, "old")
            connection.shutdown()
            served.cli("volume", "rename", "old", "new")
            node.wait_until(lambda: any(a["name"] == "pattern/new" for a in served.cli_json("actors")), LIMIT,
                            "the pattern actor goes by the new name", every=0.1)
            self.assertEqual(requests_by_chunk(wait_for_heat(served, 100, "new"))[3], 100)
            self.assertEqual(served.cli("heat", "old", check=False).returncode, 1)


if __name__ == "__main__":
    suite.main()
