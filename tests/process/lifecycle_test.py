#!/usr/bin/python3
"""A node's life as its operator and its clients see it: start, reread, grow, delete, fence, drain, stop, stand in for
inetd and systemd."""
import json
import os
import socket
import subprocess
import threading
import time
import unittest

import node
import raw_nbd as raw
import suite

nbd = suite.need_nbd()
import stamped_load  # needs nbd

MiB = node.MiB
SIZE = 32 * MiB


def connect(uri):
    connection = nbd.NBD()
    connection.connect_uri(uri)
    return connection


def size_of(served, export, listener="unix"):
    shown = node.run(["nbdinfo", "--size", served.uri(export, listener)], check=False)
    return int(shown.stdout) if shown.returncode == 0 else None


class life(unittest.TestCase):
    def test_the_ready_line_names_the_node_and_its_listeners(self):
        with node.Node({"db": SIZE}, name="alpha") as served:
            self.assertEqual(served.ready["node"], "alpha")
            self.assertIn("unix:" + served.socket_path, served.ready["nbd"].split(","))
            self.assertGreater(served.tcp_address()[1], 0)  # port 0 of the config, resolved
            self.assertEqual(json.loads(served.http("/health"))["status"], "ok")
            self.assertIn("gnomon_", served.http("/metrics"))
            for listener in suite.LISTENERS:
                self.assertEqual(size_of(served, "db", listener), SIZE)
        self.assertFalse(os.path.exists(served.socket_path), "the Unix socket outlived a clean stop")

    def test_a_second_daemon_on_the_same_data_directory_is_refused(self):
        with node.Node({"db": SIZE}) as first:
            connection = connect(first.uri("db"))
            connection.pwrite(b"1" * 512, 0)
            second = node.Node({"db": SIZE}, folder=node.make_folder(), config={"data_dir": first.data_dir})
            with self.assertRaises(node.StartFailed) as refused:
                second.start()
            self.assertNotEqual(refused.exception.returncode, 0)
            self.assertIn(first.data_dir, refused.exception.log)
            self.assertEqual(connection.pread(512, 0), b"1" * 512)
            connection.shutdown()

    def test_a_config_with_a_mistake_is_refused_with_its_place(self):
        bad = node.Node([{"name": "db", "size": "32MiB", "cach": "direct"}])
        with self.assertRaises(node.StartFailed) as refused:
            bad.start()
        self.assertIn("/volumes/0/cach", refused.exception.log)
        self.assertIn("cache", refused.exception.log)
        self.assertEqual(refused.exception.returncode, 2)

    def test_a_stale_unix_socket_of_a_killed_node_is_no_obstacle(self):
        served = node.Node({"db": SIZE}).start()
        served.kill()
        self.assertTrue(os.path.exists(served.socket_path))
        with served:
            self.assertEqual(size_of(served, "db"), SIZE)

    def drains_under_load(self, cache):
        random_ = suite.seeded()
        served = node.Node({"db": SIZE}, cache=cache)
        load = stamped_load.Load(random_, SIZE, random_.randrange(1 << 63))
        with served:
            for number in range(3):
                connections = [connect(served.uri("db", suite.LISTENERS[number % 2])) for _ in range(4)]
                timer = threading.Timer(random_.uniform(0.2, 0.8), served.process.terminate)
                before = load.acknowledged
                timer.start()
                load.run(connections, until=lambda: False)  # ends when the server has closed every connection
                timer.join()
                self.assertEqual(served.stop(), 0, served.log()[-3000:])
                self.assertGreater(load.acknowledged, before)
                served.start()
                checker = connect(served.uri("db"))
                complaints = load.check(checker)
                checker.shutdown()
                self.assertEqual(complaints[:20], [], f"{len(complaints)} sectors are wrong")
                self.assertEqual(served.cli_json("status")["previous_stop"], "clean")

    def test_sigterm_drains_under_load_buffered(self):
        self.drains_under_load("buffered")

    def test_sigterm_drains_under_load_direct(self):
        self.drains_under_load("direct")

    def test_sigterm_ends_idle_and_half_spoken_connections_in_order(self):
        served = node.Node({"db": SIZE}).start()
        idle, writing = served.connect("tcp"), served.connect("tcp")
        raw.go(idle, "db")
        raw.go(writing, "db")
        writing.sendall(raw.request(raw.WRITE, 0, MiB) + b"half")
        silent = served.connect("tcp")
        self.assertEqual(served.stop(), 0)
        for plain in (idle, writing, silent):
            plain.settimeout(10)
            rest = plain.recv(65536) if plain is not silent else b""
            self.assertEqual(rest, b"", "bytes after the end")

    def test_sighup_adds_grows_and_drops_volumes(self):
        with node.Node({"db": SIZE}) as served:
            connection = connect(served.uri("db"))
            connection.pwrite(b"kept" * 128, 0)
            served.config["volumes"].append({"name": "logs", "size": "16MiB", "cache": "direct"})
            served.write_config()
            served.hang_up()
            node.wait_until(lambda: size_of(served, "logs") == 16 * MiB, 60, "the new volume")
            served.config["volumes"][0]["size"] = node.size_text(2 * SIZE)
            served.write_config()
            served.hang_up()
            node.wait_until(lambda: size_of(served, "db") == 2 * SIZE, 60, "the new size")
            self.assertEqual(connection.get_size(), SIZE)
            self.assertEqual(connection.pread(512, 0), b"kept" * 128)
            # A mistake changes nothing and is said aloud.
            good = json.dumps(served.config)
            served.config["volumes"].append({"name": "db", "size": "1MiB"})
            served.write_config()
            served.hang_up()
            node.wait_until(lambda: "/volumes/2" in served.log(), 60, "the complaint in the log")
            self.assertEqual(connection.pread(512, 0), b"kept" * 128)
            self.assertEqual(size_of(served, "db"), 2 * SIZE)
            served.config = json.loads(good)
            served.write_config()
            connection.shutdown()

    def test_a_volume_grows_live_and_reconnecting_clients_see_it(self):
        for cache in suite.CACHES:
            with self.subTest(cache=cache), node.Node({"db": SIZE}, cache=cache) as served:
                old = connect(served.uri("db"))
                old.pwrite(b"old" * 1365 + b"!", SIZE - 4096)
                report = served.cli_json("volume", "resize", "db", node.size_text(2 * SIZE))
                self.assertEqual(old.pread(4096, SIZE - 4096), b"old" * 1365 + b"!")
                new = connect(served.uri("db"))
                self.assertEqual((old.get_size(), new.get_size()), (SIZE, 2 * SIZE))
                self.assertEqual(len(report["must_reconnect"]), 1, report)
                new.pwrite(b"new" * 1365 + b"!", 2 * SIZE - 4096)
                self.assertEqual(new.pread(4096, SIZE - 4096), b"old" * 1365 + b"!")
                shrunk = served.cli("volume", "resize", "db", node.size_text(SIZE), check=False)
                self.assertEqual(shrunk.returncode, 1)
                old.shutdown()
                new.shutdown()
                served.kill()
                served.start()           # the size survives a crash
                self.assertEqual(size_of(served, "db"), 2 * SIZE)

    def test_delete_and_undelete(self):
        with node.Node({"db": SIZE}) as served:
            served.cli("volume", "create", "scratch", "--size", "16MiB")
            connection = connect(served.uri("scratch"))
            connection.pwrite(b"back" * 128, MiB)
            connection.flush()
            refused = served.cli("volume", "delete", "scratch", check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("--force", refused.stderr)
            self.assertEqual(connection.pread(512, MiB), b"back" * 128)
            served.cli("volume", "delete", "scratch", "--force")
            self.assertIsNone(size_of(served, "scratch"))
            with self.assertRaises(nbd.Error):
                connection.pread(512, MiB)
            names = [volume["name"] for volume in served.cli_json("volume", "ls")]
            self.assertEqual(names, ["db"])
            served.kill()
            served.start()
            self.assertIsNone(size_of(served, "scratch"))
            served.cli("volume", "undelete", "scratch")
            again = connect(served.uri("scratch"))
            self.assertEqual(again.pread(512, MiB), b"back" * 128)
            again.shutdown()

    def test_who_and_fence(self):
        instances = [{"id": "web-1", "volumes": ["db"]}, {"id": "web-2", "volumes": ["db"]}]
        with node.Node({"db": SIZE}, config={"instances": instances}) as served:
            first = connect(served.uri("db@instance:web-1"))
            first.pwrite(b"1" * 512, 0)
            who = served.cli_json("volume", "who", "db")
            self.assertEqual([entry["instance"] for entry in who], ["web-1"])
            # One writing instance per volume: the second waits until the first is fenced.
            self.assertIsNone(size_of(served, "db@instance:web-2"))
            fenced = served.cli_json("volume", "fence", "db", "--instance", "web-1")
            self.assertEqual(len(fenced), 1)
            with self.assertRaises(nbd.Error):
                first.pwrite(b"2" * 512, 0)
            second = connect(served.uri("db@instance:web-2"))
            self.assertEqual(second.pread(512, 0), b"1" * 512)
            second.pwrite(b"3" * 512, 0)
            second.shutdown()
            # A fence is for good, over a restart too, until somebody lifts it.
            self.assertIsNone(size_of(served, "db@instance:web-1"))
            served.kill()
            served.start()
            self.assertIsNone(size_of(served, "db@instance:web-1"))
            served.cli("volume", "unfence", "db", "--instance", "web-1")
            self.assertEqual(size_of(served, "db@instance:web-1"), SIZE)
            served.cli("volume", "fence", "db", "--for", "web-2")
            self.assertIsNone(size_of(served, "db@instance:web-1"))
            self.assertEqual(size_of(served, "db@instance:web-2"), SIZE)

    def test_killing_actors_under_load_costs_clients_nothing(self):
        random_ = suite.seeded()
        with node.Node({"db": SIZE}) as served:
            load = stamped_load.Load(random_, SIZE, random_.randrange(1 << 63))
            connections = [connect(served.uri("db")) for _ in range(2)]
            actors = [actor["name"] for actor in served.cli_json("actors") if actor["parent"]]
            self.assertIn("volume/db", actors)
            done = threading.Event()
            worker = threading.Thread(target=load.run, args=(connections, done.is_set))
            worker.start()
            try:
                for actor in actors:
                    served.cli("ask", actor, "kill", check=False)
            finally:
                done.set()
                worker.join()
            self.assertEqual(load.refused, 0)
            for connection in connections:
                connection.shutdown()    # they are the very connections of the beginning
            self.assertEqual(load.check(connect(served.uri("db")))[:10], [])

            def repaired():
                tree = served.cli("--json", "actors", check=False)
                if tree.returncode != 0:
                    return False
                running = {actor["name"] for actor in json.loads(tree.stdout) if actor["state"] == "running"}
                return running >= set(actors)
            node.wait_until(repaired, 60, "every actor running again")
            self.assertEqual(size_of(served, "db"), SIZE)

    def test_sockets_passed_by_a_supervisor_are_served(self):
        folder = node.make_folder()
        path = os.path.join(folder, "passed.sock")
        passed = socket.socket(socket.AF_UNIX)
        passed.bind(path)
        passed.listen(16)
        tcp = socket.create_server(("127.0.0.1", 0))
        numbers = (100, 101)                # far from 3 and 4, where the daemon expects them
        for listener, number in zip((passed, tcp), numbers):
            os.dup2(listener.fileno(), number)
        served = node.Node({"db": SIZE}, transports=(), folder=folder)
        # LISTEN_PID must be the daemon's own pid: a shell sets it and becomes the daemon. Descriptors start at 3.
        command = "exec 3<&100 4<&101 100<&- 101<&-; export LISTEN_FDS=2 LISTEN_PID=$$; exec \"$@\""
        with open(served.log_path, "ab") as log:
            served.process = node.spawn(["bash", "-c", command, "-", node.GNOMOND, "--config", served.config_path],
                                        pass_fds=numbers, stdout=log, stderr=log)
        served.wait_ready()
        with served:
            for uri in (f"nbd+unix:///db?socket={path}", "nbd://127.0.0.1:%d/db" % tcp.getsockname()[1]):
                self.assertEqual(int(node.run(["nbdinfo", "--size", uri]).stdout), SIZE)

    def test_standard_input_and_output_carry_one_connection(self):
        for cache in suite.CACHES:
            with self.subTest(cache=cache):
                served = node.Node({"db": SIZE}, cache=cache, transports=())
                command = [node.GNOMOND, "--config", served.config_path, "--nbd-stdio", "db"]
                # connect_command works over standard input and output; nbdcopy's [ COMMAND ] would pass LISTEN_FDS.
                source = os.urandom(SIZE)
                writer = nbd.NBD()
                writer.connect_command(command)
                for at in range(0, SIZE, MiB):
                    writer.pwrite(source[at:at + MiB], at)
                writer.flush()
                writer.shutdown()
                del writer                      # waits for its node to end: one at a time on a data directory
                connection = nbd.NBD()
                connection.connect_command(command)
                for at in range(0, SIZE, MiB):
                    self.assertEqual(connection.pread(MiB, at), source[at:at + MiB])
                self.assertEqual(connection.get_size(), SIZE)
                connection.pwrite(b"stdio" * 100, 77)
                self.assertEqual(connection.pread(500, 77), b"stdio" * 100)
                connection.shutdown()
                del connection
                unknown = subprocess.run([node.GNOMOND, "--config", served.config_path, "--nbd-stdio", "nothing"],
                                         stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
                self.assertNotEqual(unknown.returncode, 0)
                self.assertNotIn(b"NBDMAGIC", unknown.stdout)


if __name__ == "__main__":
    suite.main()
