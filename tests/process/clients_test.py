#!/usr/bin/python3
"""Independent clients - libnbd's tools, qemu's, fio, nbd-client - agree about a served volume, on both listeners and in
both cache modes."""
import hashlib
import json
import os
import random

import node
import suite

suite.need("nbdinfo", "nbdcopy", "qemu-img", "qemu-io", "fio", "nbd-client")
SIZE = 64 * node.MiB


def make_image(path, size, seed, extents=60):
    """A sparse file with random data, zero runs and unaligned edges, down to its first and last byte."""
    random_ = random.Random(seed)
    with open(path, "wb") as file:
        file.truncate(size)
        for _ in range(extents):
            length = random_.choice([1, 511, 512, 4095, 4096, 65536, node.MiB])
            file.seek(random_.randrange(0, size - length + 1))
            file.write(bytes(length) if random_.random() < 0.15 else random_.randbytes(length))
        file.seek(0)
        file.write(b"HEAD")
        file.seek(size - 4)
        file.write(b"TAIL")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@suite.on_every_listener
class clients(suite.OneNode):
    size = SIZE

    def qemu_io(self, *commands):
        """Runs qemu-io commands; a pattern that does not match is an AssertionError."""
        arguments = [part for command in commands for part in ("-c", command)]
        said = node.run(["qemu-io", "-f", "raw", "-t", "writeback", *arguments, self.uri]).stdout
        self.assertNotRegex(said.lower(), "verification failed|error|invalid")

    def test_nbdinfo_describes_the_export(self):
        shown = json.loads(node.run(["nbdinfo", "--json", self.uri]).stdout)
        export = shown["exports"][0]
        self.assertEqual(shown["protocol"], "newstyle-fixed")
        self.assertTrue(shown["structured"])
        self.assertEqual((export["export-name"], export["export-size"]), ("db", SIZE))
        self.assertIn("base:allocation", export["contexts"])
        self.assertFalse(export["is_read_only"])
        for ability in ("flush", "fua", "trim", "zero", "fast_zero", "cache", "df", "multi_conn"):
            self.assertTrue(export["can_" + ability], ability)
        # A buffered volume takes any byte range; both announce sizes a client can rely upon.
        self.assertEqual(export["block_size_minimum"], 1)
        self.assertEqual(export["block_size_preferred"], 4096)
        self.assertGreaterEqual(export["block_size_maximum"], node.MiB)

    def test_list_names_every_volume_and_an_unknown_one_is_refused(self):
        listed = json.loads(node.run(["nbdinfo", "--list", "--json", self.node.uri("", self.listener)]).stdout)
        self.assertEqual([export["export-name"] for export in listed["exports"]], ["db"])
        target = ["-unix", self.node.socket_path] if self.listener == "unix" else \
            ["127.0.0.1", str(self.node.tcp_address()[1])]
        self.assertIn("db", node.run(["nbd-client", "-l", *target]).stdout.split())
        refused = node.run(["nbdinfo", "--size", self.node.uri("no-such-volume", self.listener)], check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual(node.run(["nbdinfo", "--size", self.uri]).stdout.strip(), str(SIZE))

    def test_the_map_covers_the_export_and_shows_where_data_is(self):
        self.qemu_io(f"discard 0 {SIZE}", "write -P 1 8M 1M", "flush")
        extents = json.loads(node.run(["nbdinfo", "--map", "--json", self.uri]).stdout)
        end = 0
        for extent in extents:
            self.assertEqual(extent["offset"], end)
            self.assertGreater(extent["length"], 0)
            end += extent["length"]
        self.assertEqual(end, SIZE)
        data = [(e["offset"], e["length"]) for e in extents if e["type"] == 0]
        self.assertEqual(data, [(8 * node.MiB, node.MiB)])
        for extent in json.loads(node.run(["qemu-img", "map", "--output=json", "-f", "raw", self.uri]).stdout):
            inside = 8 * node.MiB <= extent["start"] < 9 * node.MiB
            self.assertEqual((extent["data"], extent["zero"]), (inside, not inside), extent)

    def test_nbdcopy_round_trips_are_identical(self):
        folder = node.make_folder()
        source, back = os.path.join(folder, "source"), os.path.join(folder, "back")
        ways = (["--connections=1", "--requests=1"], ["--connections=4", "--requests=16"],
                ["--connections=4", "--requests=64", "--request-size=4096"],
                ["--connections=2", f"--request-size={32 * node.MiB}"], ["--synchronous"], ["--allocated"])
        for number, way in enumerate(ways):
            with self.subTest(way=way):
                make_image(source, SIZE, number)
                node.run(["nbdcopy", "--flush", *way, source, self.uri])
                if os.path.exists(back):
                    os.unlink(back)
                node.run(["nbdcopy", *[w for w in way if w != "--allocated"], self.uri, back])
                self.assertEqual(digest(back), digest(source))
        said = node.run(["qemu-img", "compare", "-f", "raw", "-F", "raw", source, self.uri]).stdout
        self.assertIn("identical", said)

    def test_qemu_img_converts_and_keeps_a_qcow2_on_the_volume(self):
        folder = node.make_folder()
        source, qcow2 = os.path.join(folder, "source"), os.path.join(folder, "image.qcow2")
        make_image(source, SIZE, 99)
        node.run(["qemu-img", "convert", "-n", "-m", "16", "-W", "-f", "raw", "-O", "raw", source, self.uri])
        node.run(["qemu-img", "compare", "-f", "raw", "-F", "raw", source, self.uri])
        node.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", self.uri, qcow2])
        node.run(["qemu-img", "check", qcow2])
        node.run(["qemu-img", "compare", "-f", "qcow2", "-F", "raw", qcow2, source])
        node.run(["qemu-img", "create", "-f", "qcow2", self.uri, str(SIZE // 2)])
        for number in (1, 2, 3):
            node.run(["qemu-io", "-f", "qcow2", "-c", f"write -P {number} 0 8M", "-c", "flush", self.uri])
            node.run(["qemu-img", "snapshot", "-c", f"s{number}", self.uri])
        node.run(["qemu-img", "check", "-f", "qcow2", self.uri])
        node.run(["qemu-img", "snapshot", "-a", "s2", self.uri])
        said = node.run(["qemu-io", "-f", "qcow2", "-c", "read -P 2 0 8M", self.uri]).stdout
        self.assertNotIn("verification failed", said)

    def test_qemu_io_patterns(self):
        self.qemu_io("write -P 1 0 1M", "write -P 2 1M 1M", "read -P 1 0 1M", "read -P 2 1M 1M")
        self.qemu_io("write -P 3 512 512", "read -P 1 0 512", "read -P 3 512 512", "read -P 1 1024 64k")
        self.qemu_io("write -P 4 1000001 77", "read -P 4 1000001 77", "read -P 1 1000000 1", "read -P 1 1000078 20")
        self.qemu_io("write -P 5 4M 4M", "write -z 5M 1M", "read -P 5 4M 1M", "read -P 0 5M 1M", "read -P 5 6M 2M")
        self.qemu_io("write -z -u 6M 1M", "read -P 0 5M 2M", "read -P 5 7M 1M")
        self.qemu_io("write -P 6 8M 4M", "discard 9M 1M", "read -P 6 8M 1M", "read -P 6 10M 2M")
        self.qemu_io("write -f -P 7 12M 64k", "write -f -z 12M 32k", "read -P 0 12M 32k", "read -P 7 12320k 32k")
        self.qemu_io("writev -P 9 14M 4k 8k 512 1k 64k", "readv -P 9 14M 4k 8k 512 1k 64k", "flush")
        self.qemu_io("aio_write -P 10 16M 1M", "aio_write -P 11 17M 1M", "aio_flush", "aio_read -P 10 16M 1M",
                     "aio_read -P 11 17M 1M", "aio_flush")
        self.qemu_io(f"write -P 13 {SIZE - 512} 512", f"read -P 13 {SIZE - 512} 512")

    def test_fio_verifies_what_it_wrote(self):
        common = ["fio", "--name=verify", "--ioengine=nbd", f"--uri={self.uri}", f"--size={SIZE}",
                  "--do_verify=1", "--verify_fatal=1", "--verify_state_save=0", "--minimal"]
        jobs = (["--rw=write", "--bs=128k", "--iodepth=16", "--verify=crc32c"],
                ["--rw=randwrite", "--bs=4k", "--iodepth=32", "--io_size=16M", "--verify=crc32c"],
                ["--rw=randwrite", "--bsrange=512-64k", "--blockalign=512", "--iodepth=8", "--io_size=16M",
                 "--verify=pattern", "--verify_pattern=%o"],
                ["--rw=randwrite", "--bs=4k", "--iodepth=16", "--io_size=16M", "--verify=sha256",
                 "--verify_backlog=1024", "--verify_backlog_batch=256", "--fsync=64"])
        for job in jobs:
            with self.subTest(job=job):
                node.run([*common, *job], cwd=node.make_folder())


if __name__ == "__main__":
    suite.main()
