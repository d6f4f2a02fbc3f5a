#!/usr/bin/python3
"""What changes while clients are connected: read-only, descriptions, and a socket's file that is no longer ours."""
import errno
import os
import socket
import struct
import subprocess
import threading
import unittest

import node
import raw_nbd as raw
import suite

MiB = node.MiB
SIZE = 16 * MiB
READ_ONLY = 1 << 1
INFO_EXPORT, INFO_NAME, INFO_DESCRIPTION = 0, 1, 2


def told(plain, export, *wanted):
    """What INFO says of an export: {info type: payload}."""
    name = export.encode()
    plain.sendall(raw.option(6, struct.pack(">I", len(name)) + name
                             + struct.pack(f">H{len(wanted)}H", len(wanted), *wanted)))
    found = {}
    while True:
        _, kind, payload = raw.option_reply(plain)
        if kind == raw.REP_ACK:
            return found
        assert kind == raw.REP_INFO, (hex(kind), payload)
        found[struct.unpack(">H", payload[:2])[0]] = payload[2:]


class live_changes(unittest.TestCase):
    cache = "buffered"

    def node(self, volumes):
        served = node.Node(volumes, cache=self.cache).start()
        self.addCleanup(self.end, served)
        return served

    def end(self, served):
        if served.alive():
            self.assertEqual(served.stop(), 0, served.log()[-3000:])

    def client(self, served, export="extra"):
        plain = served.connect()
        plain.settimeout(300)
        self.addCleanup(plain.close)
        _, flags = raw.go(plain, export)
        return plain, flags

    def ask(self, plain, command, offset=0, length=4096, payload=b""):
        plain.sendall(raw.request(command, offset, length, 5, 0, payload))
        error, cookie, data = raw.simple_reply(plain, length if command == raw.READ else 0)
        self.assertEqual(cookie, 5)
        return data if command == raw.READ and error == 0 else error

    def writes(self, plain):
        return {self.ask(plain, raw.WRITE, payload=b"w" * 4096), self.ask(plain, raw.TRIM, 8192),
                self.ask(plain, raw.WRITE_ZEROES, 16384)}

    def description(self, served, export):
        plain = served.connect()
        with plain:
            raw.greet(plain)
            return told(plain, export, INFO_DESCRIPTION).get(INFO_DESCRIPTION, b"").decode()

    def test_read_only_on_and_off_ends_no_connection(self):
        served = self.node({"db": SIZE})
        served.cli("volume", "create", "extra", "--size", "16MiB")
        writer, flags = self.client(served)
        self.assertFalse(flags & READ_ONLY)
        self.assertEqual(self.writes(writer), {0})
        ids = [c["id"] for c in served.cli_json("volume", "who", "extra")]

        said = served.cli("volume", "read-only", "extra", "on").stdout
        self.assertIn("read-only", said)
        self.assertEqual(self.writes(writer), {errno.EPERM})
        self.assertEqual(self.ask(writer, raw.READ), b"w" * 4096)
        self.assertEqual(self.ask(writer, raw.FLUSH, length=0), 0)
        reader, flags = self.client(served)
        self.assertTrue(flags & READ_ONLY)
        self.assertEqual(self.ask(reader, raw.READ), b"w" * 4096)
        self.assertTrue(served.cli_json("volume", "show", "extra")["read_only"])

        served.cli("volume", "read-only", "extra", "off")
        self.assertEqual(self.writes(writer), {0})
        self.assertEqual(self.writes(reader), {errno.EPERM})  # it was told so when it came
        self.assertEqual(self.ask(reader, raw.READ, 65536), bytes(4096))
        self.assertTrue(set(ids) <= {c["id"] for c in served.cli_json("volume", "who", "extra")})

    def test_it_survives_a_restart_and_goes_again(self):
        served = self.node({"db": SIZE})
        served.cli("volume", "create", "extra", "--size", "16MiB")
        served.cli("volume", "read-only", "extra", "on")
        self.assertEqual(served.stop(), 0)
        served.start()
        plain, flags = self.client(served)
        self.assertTrue(flags & READ_ONLY)
        # Opened for reading only: taking writes means opening it again, which ends what was told otherwise.
        served.cli("volume", "read-only", "extra", "off")
        self.assertEqual(plain.recv(1), b"")
        plain, flags = self.client(served)
        self.assertFalse(flags & READ_ONLY)
        self.assertEqual(self.writes(plain), {0})

    def test_no_write_gets_through_once_the_change_is_answered(self):
        served = self.node({"db": SIZE})
        served.cli("volume", "create", "extra", "--size", "16MiB")
        for _ in range(5):
            changed, results, failures = threading.Event(), [], []

            def write(plain):
                try:
                    tail = 0
                    while tail < 200:
                        after = changed.is_set()
                        error = self.ask(plain, raw.WRITE, payload=b"s" * 4096)
                        results.append((after, error))
                        tail += after
                except Exception as problem:
                    failures.append(problem)
            threads = [threading.Thread(target=write, args=(self.client(served)[0],)) for _ in range(3)]
            for thread in threads:
                thread.start()
            served.cli("volume", "read-only", "extra", "on")
            changed.set()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])
            self.assertEqual({error for after, error in results if after}, {errno.EPERM})
            self.assertLessEqual({error for after, error in results}, {0, errno.EPERM})
            self.assertIn((False, 0), results)
            served.cli("volume", "read-only", "extra", "off")

    def test_a_reload_changes_description_and_read_only(self):
        served = self.node([{"name": "db", "size": "16MiB", "cache": self.cache, "description": "before"}])
        writer, _ = self.client(served, "db")
        self.assertEqual(self.description(served, "db"), "before")
        served.config["volumes"][0].update(description="the orders \u2013 2026", read_only=True)
        served.write_config()
        served.hang_up()
        node.wait_until(lambda: self.description(served, "db") == "the orders \u2013 2026", 60, "the new description")
        node.wait_until(lambda: self.writes(writer) == {errno.EPERM}, 60, "writes that are refused")
        self.assertEqual(self.ask(writer, raw.READ, 65536), bytes(4096))
        del served.config["volumes"][0]["description"], served.config["volumes"][0]["read_only"]
        served.write_config()
        served.hang_up()
        node.wait_until(lambda: self.writes(writer) == {0}, 60, "writes that work again, on the same connection")
        node.wait_until(lambda: self.description(served, "db") == "", 60, "no description")

    def test_describe_by_hand_and_what_stands_in_the_config_is_changed_there(self):
        served = self.node({"db": SIZE})
        served.cli("volume", "create", "extra", "--size", "16MiB")
        served.cli("volume", "describe", "extra", "spare disk")
        self.assertEqual(self.description(served, "extra"), "spare disk")
        self.assertEqual(served.cli_json("volume", "show", "extra")["description"], "spare disk")
        served.cli("volume", "describe", "extra", "")
        self.assertEqual(self.description(served, "extra"), "")
        for words in (("read-only", "db", "on"), ("describe", "db", "x")):
            refused = served.cli("volume", *words, check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("stands in the config", refused.stderr)
        self.assertEqual(served.cli("volume", "read-only", "extra", "maybe", check=False).returncode, 2)
        wrong = served.cli("volume", "show", "exrta", check=False)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("did you mean extra?", wrong.stderr)
        self.assertNotIn("deleted", wrong.stderr)


class live_changes_direct(live_changes):
    cache = "direct"


class listeners(unittest.TestCase):
    def test_a_stop_leaves_another_ones_socket_alone(self):
        served = node.Node({"db": SIZE}).start()
        os.unlink(served.socket_path)
        another = socket.socket(socket.AF_UNIX)
        with another:
            another.bind(served.socket_path)
            another.listen()
            self.assertEqual(served.stop(), 0)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(served.socket_path)  # still there
        os.unlink(served.socket_path)
        served.start()
        self.assertEqual(served.stop(), 0)
        self.assertFalse(os.path.exists(served.socket_path), "its own is removed")

    def test_the_empty_name_on_standard_input_is_told_by_its_own(self):
        served = node.Node({"db": SIZE, "other": SIZE}, transports=("unix",))
        ours, theirs = socket.socketpair()
        with ours:
            process = node.spawn([node.GNOMOND, "--config", served.config_path, "--nbd-stdio", "db"], stdin=theirs,
                                 stdout=theirs, stderr=subprocess.DEVNULL)
            theirs.close()
            ours.settimeout(120)
            raw.greet(ours)
            for export in ("", "db"):
                self.assertEqual(told(ours, export, INFO_NAME)[INFO_NAME], b"db")
            self.assertEqual(told(ours, "other", INFO_NAME)[INFO_NAME], b"other")
            self.assertEqual(raw.send_go(ours, "")[0], SIZE)
            ours.sendall(raw.request(raw.DISCONNECT))
        self.assertEqual(process.wait(120), 0)


if __name__ == "__main__":
    suite.main()
