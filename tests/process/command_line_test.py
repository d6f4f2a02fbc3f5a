#!/usr/bin/python3
"""The command line against a real node: volumes, the shell across a restart, record and verified replay, exit codes."""
import json
import os
import subprocess
import unittest

import node
import suite

MiB = node.MiB


def trace(path, lines):
    with open(path, "w") as out:
        out.write("time_us,volume,op,offset_bytes,length_bytes\n" + "".join(line + "\n" for line in lines))
    return path


class command_line(unittest.TestCase):
    def test_a_volume_from_create_to_purge(self):
        with node.Node({"db": 16 * MiB}) as served:
            served.cli("volume", "create", "extra", "8MiB")
            self.assertEqual({v["name"] for v in served.cli_json("volume", "ls")}, {"db", "extra"})
            served.cli("volume", "resize", "extra", "12MiB")
            self.assertEqual(served.cli_json("volume", "show", "extra")["size_bytes"], 12 * MiB)
            served.cli("volume", "rename", "extra", "spare")
            served.cli("volume", "delete", "spare")
            self.assertEqual([v["name"] for v in served.cli_json("volume", "ls", "--deleted")], ["spare"])
            served.cli("volume", "undelete", "spare", "--as", "back")
            served.cli("volume", "delete", "back")
            self.assertEqual(served.cli("volume", "purge", "back", check=False).returncode, 2)  # without --yes
            served.cli("volume", "purge", "back", "--yes")
            self.assertEqual(served.cli_json("volume", "ls", "--all")[0]["name"], "db")

    def test_exit_codes_and_one_line_on_standard_error(self):
        with node.Node({"db": 16 * MiB}) as served:
            missing = served.cli("volume", "show", "nope", check=False)
            self.assertEqual((missing.returncode, missing.stdout, missing.stderr.count("\n")), (1, "", 1))
            typo = served.cli("volume", "shwo", "db", check=False)
            self.assertEqual(typo.returncode, 2)
            self.assertIn("did you mean show?", typo.stderr)
        gone = served.cli("status", check=False)
        self.assertEqual(gone.returncode, 1)
        self.assertIn("unavailable", gone.stderr)

    def test_the_shell_outlives_its_node(self):
        with node.Node({"db": 16 * MiB}) as served:
            shell = subprocess.Popen([node.GNOMON, "--config", served.config_path, "--json", "shell"], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

            def ask(line):
                shell.stdin.write(line + "\n")
                shell.stdin.flush()
                text = ""
                while True:
                    more = shell.stdout.readline()
                    self.assertTrue(more, "the shell ended: " + text)
                    if more.startswith("gnomon: "):
                        return more
                    text += more
                    if more == "}\n":
                        return json.loads(text)

            first = ask("status")["pid"]
            served.stop()
            self.assertEqual(ask("status")["error"]["code"], "unavailable")
            served.start()
            self.assertNotEqual(ask("status")["pid"], first)
            shell.stdin.write("quit\n")
            shell.stdin.close()
            self.assertEqual(shell.wait(60), 1)  # a script in which one command failed
            shell.stdout.close()

    def test_what_is_replayed_is_recorded_and_verified(self):
        with node.Node({"db": 16 * MiB}) as served:
            original = [f"{i * 1000},db,{'WRWF'[i % 4]},{0 if i % 4 == 3 else i * 37 % 4000 * 4096}," +
                        f"{0 if i % 4 == 3 else 4096}" for i in range(400)]
            source = trace(os.path.join(served.folder, "in.csv"), original)
            copy = os.path.join(served.folder, "out.csv.gz")
            recorder = subprocess.Popen([node.GNOMON, "--config", served.config_path, "--json", "record", "db",
                                         "--output", copy], stdout=subprocess.PIPE, text=True)
            node.wait_until(lambda: served.cli("ask", "recorder", "count").stdout.strip() == "1", 60, "the recording")
            replayed = served.cli_json("replay", source, "--to", "db", "--yes", "--depth", "1", "--speed", "100", "--limit", "400")
            self.assertEqual((replayed["requests"], replayed["errors"]), (400, 0))
            recorder.terminate()
            said = json.loads(recorder.communicate(timeout=120)[0])
            self.assertEqual((recorder.returncode, said["recorded"], said["dropped"]), (0, 400, 0))
            verified = served.cli_json("replay", copy, "--to", "db", "--yes", "--speed", "max", "--verify")
            self.assertTrue(verified["good"])
            self.assertGreater(verified["verify"]["at_end"]["bytes"], 0)

    def test_a_trace_too_large_for_the_export_changes_nothing_unless_told_how(self):
        with node.Node({"db": 16 * MiB}) as served:
            source = trace(os.path.join(served.folder, "in.csv"), ["0,a,W,0,4096", f"1,a,W,{64 * MiB},4096"])
            refused = served.cli("replay", source, "--to", "db", "--yes", check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("--wrap", refused.stderr)
            self.assertEqual(served.metric("gnomon_volume_requests_total"), 0)
            for how in ("--wrap", "--scale"):
                self.assertTrue(served.cli_json("replay", source, "--to", "db", "--yes", "--verify", how)["good"])


if __name__ == "__main__":
    suite.main()
