#!/usr/bin/python3
"""The operator's hand: settings that change while the node runs, and who may attach. Every key that the reference calls
live is changed here and its effect seen; what is not in force is said."""
import json
import os
import signal
import time
import unittest

import node
import suite

nbd = suite.need_nbd()
MiB = node.MiB
LIMIT = 60


def connect(uri):
    client = nbd.NBD()
    client.connect_uri(uri)
    return client


def opens(served, export):
    try:
        connect(served.uri(export)).shutdown()
        return True
    except nbd.Error:
        return False


def exports(uri):
    client = nbd.NBD()
    client.set_opt_mode(True)
    client.connect_uri(uri)
    found = []
    client.opt_list(lambda name, _: found.append(name) or 0)
    client.opt_abort()
    return found


class access(unittest.TestCase):
    def test_an_empty_list_of_instances_lets_nobody_in(self):
        with node.Node({"db": MiB, "logs": MiB}, config={"instances": []}) as served:
            self.assertFalse(opens(served, "db") or opens(served, "db@instance:web"))
            self.assertEqual(exports(served.uri()), [])

    def test_what_is_taken_away_ends_at_once_and_lists_name_what_may_be_opened(self):
        own = os.path.join(node.make_folder(), "web.sock")
        instances = [{"id": "web", "volumes": ["db", "logs"], "listen": ["unix:" + own]}, {"id": "ci", "volumes": ["db"]}]
        with node.Node([{"name": name, "size": "1MiB", "shared": True} for name in ("db", "logs")],
                       config={"instances": instances}) as served:
            at_own = f"nbd+unix:///%s?socket={own}"
            self.assertEqual(sorted(exports(at_own % "")), ["db", "logs"])
            self.assertEqual(exports(served.uri()), [])
            bound, other = connect(at_own % "logs"), connect(served.uri("db@instance:ci"))
            with self.assertRaises(nbd.Error):
                connect(at_own % "db@instance:ci")  # it is web's listener
            bound.pwrite(b"x" * 512, 0)
            instances[0]["volumes"] = ["db"]
            served.write_config()
            report = served.cli_json("reload")
            self.assertEqual(report["in_force"], report["generation"])
            with self.assertRaises(nbd.Error):
                for _ in range(2):
                    bound.pwrite(b"y" * 512, 0)
            other.pwrite(b"z" * 512, 0)
            self.assertEqual(exports(at_own % ""), ["db"])
            self.assertFalse(opens(served, "logs@instance:web"))

    def test_a_volume_made_by_hand_is_given_and_taken_by_hand(self):
        with node.Node({"db": MiB}, config={"instances": [{"id": "web", "volumes": ["db"]}]}) as served:
            served.cli("volume", "create", "hand", "--size", "1MiB")
            self.assertFalse(opens(served, "hand@instance:web"))
            self.assertEqual(served.cli_json("volume", "grant", "hand", "web")["granted"], ["web"])
            client = connect(served.uri("hand@instance:web"))
            client.pwrite(b"x" * 512, 0)
            served.kill()
            served.start()
            self.assertTrue(opens(served, "hand@instance:web"))
            client = connect(served.uri("hand@instance:web"))
            served.cli("volume", "revoke", "hand", "web")
            with self.assertRaises(nbd.Error):
                for _ in range(2):
                    client.pwrite(b"y" * 512, 0)
            self.assertFalse(opens(served, "hand@instance:web"))


class reloading(unittest.TestCase):
    def test_a_report_says_what_changed_and_what_waits(self):
        with node.Node({"db": MiB}) as served:
            first = served.cli_json("status")["settings"]
            self.assertEqual(first["wanted"], first["in_force"])
            served.config["volumes"].append({"name": "more", "size": "1MiB"})
            served.config["io"] = {"rings": 1}
            served.write_config()
            dry = served.cli_json("reload", "--dry-run")
            self.assertIn("/volumes/1", " ".join(dry["changed"]))
            self.assertIn("/io/rings", " ".join(dry["waiting"]))
            self.assertFalse(opens(served, "more"))
            self.assertEqual(served.cli_json("status")["settings"]["wanted"], first["wanted"])
            done = served.cli_json("reload")
            self.assertEqual((done["generation"], done["in_force"]), (first["wanted"] + 1,) * 2)
            self.assertTrue(opens(served, "more"))
            health = json.loads(served.http("/health"))
            self.assertEqual(health["settings"]["in_force"], done["generation"])
            self.assertIn("/io/rings", " ".join(health["settings"]["waiting_for_restart"]))
            self.assertIn("/io/rings", served.cli("status").stdout)

    def test_a_broken_file_changes_nothing_is_said_and_does_not_keep_anybody_out(self):
        for broken in ('{"node": "alpha", "data_dir": "%s", "volumes": [', '{"node": "alpha", "data_dir": "%s", "volumse": 1}'):
            with node.Node({"db": MiB}) as served:
                with open(served.config_path, "w") as file:
                    file.write(broken % served.data_dir)
                refused = served.cli("--json", "reload", check=False)
                self.assertEqual(refused.returncode, 1)
                self.assertTrue(json.loads(refused.stdout)["file_problems"])
                status = served.cli("--json", "status", check=False)
                self.assertEqual(status.returncode, 1)
                self.assertIn("refused", " ".join(json.loads(status.stdout)["problems"]))
                self.assertTrue(opens(served, "db"))
                served.write_config()
                self.assertEqual(served.cli("reload").returncode, 0)
                self.assertEqual(served.cli("status").returncode, 0)

    def test_settings_reach_a_registry_that_was_down(self):
        with node.Node({"db": MiB, "secret": MiB}) as served:
            for _ in range(8):
                served.cli("ask", "registry", "kill", check=False)
                time.sleep(0.05)
            served.config["instances"] = [{"id": "web", "volumes": ["db", "third"]}]
            served.config["volumes"].append({"name": "third", "size": "1MiB"})
            served.write_config()
            served.hang_up()
            node.wait_until(lambda: not opens(served, "secret"), 5, "access is closed although the registry is down")
            node.wait_until(lambda: opens(served, "third@instance:web"), LIMIT, "the new volume")
            settings = served.cli_json("status")["settings"]
            self.assertEqual(settings["wanted"], settings["in_force"])

    def test_log_level_and_undelete_for_and_refit(self):
        with node.Node({"db": MiB}, config={"log_level": "info"}) as served:
            def lines(word, name):
                at = len(served.log())
                served.cli("volume", "create", name, "1MiB")
                served.cli("volume", "delete", name)
                served.cli("reload")
                return [line for line in served.log()[at:].splitlines() if f" {word} " in line]
            self.assertTrue(lines("info", "a"))
            served.config.update({"log_level": "error", "undelete_for": "1s", "history": {"retention": "7d"}})
            served.write_config()
            served.cli("reload")
            self.assertFalse(lines("info", "b"))
            until = {v["name"]: v["deleted_until_us"] for v in served.cli_json("volume", "ls", "--deleted")}
            self.assertLess(until["b"], (time.time() + 30) * 1e6)
            served.config["log_level"] = "info"
            served.write_config()
            served.cli("reload")
            self.assertTrue(lines("info", "c"))


class told(unittest.TestCase):
    def test_keys_that_do_nothing_and_open_listeners_are_said(self):
        with node.Node({"db": MiB}) as served:
            said = " ".join(served.cli_json("status")["settings"]["warnings"])
            self.assertIn("instances", said)
            self.assertIn("nothing keeps two of them", served.cli("volume", "who", "db").stdout)

    def test_errors_are_json_where_json_is_wanted(self):
        with node.Node({"db": MiB}) as served:
            failed = served.cli("--json", "volume", "show", "none", check=False)
            self.assertEqual(failed.returncode, 1)
            self.assertEqual(json.loads(failed.stderr)["error"]["code"], "not_found")

    def test_a_replay_writes_only_where_it_is_told(self):
        with node.Node({"db": MiB, "copy": MiB}) as served:
            client = connect(served.uri("db"))
            client.pwrite(b"p" * 65536, 0)
            client.flush()
            trace = os.path.join(served.folder, "trace.csv")
            with open(trace, "w") as file:
                file.write("time_us,volume,op,offset_bytes,length_bytes\n" +
                           "".join(f"{i},db,{'WR'[i % 2]},{i % 8 * 4096},4096\n" for i in range(32)))
            self.assertEqual(served.cli_json("replay", trace, "--speed", "max")["errors"], 0)
            self.assertEqual(client.pread(65536, 0), b"p" * 65536)
            refused = served.cli("replay", trace, "--to", "db", check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("--yes", refused.stderr)
            self.assertEqual(client.pread(65536, 0), b"p" * 65536)
            served.cli("replay", trace, "--to", "copy", "--speed", "max")  # empty and unused
            client.shutdown()

    def test_a_clock_that_leapt_ahead_ages_nothing_until_it_is_accepted(self):
        fake = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
        if not os.path.exists(fake):
            self.skipTest("needs libfaketime")
        served = node.Node({"db": MiB}, config={"undelete_for": "1d"}).start()
        served.cli("volume", "create", "gone", "1MiB")
        served.cli("volume", "delete", "gone")
        self.assertEqual(served.stop(), 0)
        served.start(env={**os.environ, "LD_PRELOAD": fake, "FAKETIME": "+60d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        status = served.cli("--json", "status", check=False)
        self.assertIn("days ahead", " ".join(json.loads(status.stdout)["problems"]))
        served.cli("ask", "control", "accept-clock")
        self.assertNotIn("days ahead", served.cli("status", check=False).stdout)
        served.kill()


if __name__ == "__main__":
    suite.main()
