#!/usr/bin/python3
"""A disk under the volume that is full, answers with errors, or does not answer at all.

The faulty disk is an nbdkit server whose reads, writes and flushes fail or wait as files in a folder say, brought into
the file system by nbdfuse and a loop device; the full one is a small ext4 on a loop device. Needs root.
"""
import errno
import os
import subprocess
import threading
import unittest

import filesystem_test
import node
import suite

suite.need("nbdkit", "nbdfuse", "losetup", "mkfs.ext4", "mount", "umount")
nbd = suite.need_nbd()
MiB = node.MiB
SIZE = 64 * MiB


def connect(uri):
    connection = nbd.NBD()
    connection.connect_uri(uri)
    return connection


def error_of(call, *arguments):
    """errno name of a failing call; None if it succeeds."""
    try:
        call(*arguments)
    except nbd.Error as error:
        return error.errno
    return None


class full_disk(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("mounting needs root")
        self.folder = node.make_folder()
        image = os.path.join(self.folder, "pool")
        with open(image, "wb") as file:
            file.truncate(96 * MiB)
        node.run(["mkfs.ext4", "-q", "-m", "0", "-F", image], env=filesystem_test.ENVIRONMENT)
        self.mount_point = os.path.join(self.folder, "d")
        os.mkdir(self.mount_point)
        mounted = node.run(["mount", "-o", "loop", image, self.mount_point], check=False,
                           env=filesystem_test.ENVIRONMENT)
        if mounted.returncode != 0:
            self.skipTest("mount: " + mounted.stderr.strip()[-200:])
        self.addCleanup(subprocess.run, ["umount", self.mount_point])
        self.ballast = os.path.join(self.mount_point, "ballast")
        with open(self.ballast, "wb") as file:
            file.write(bytes(12 * MiB))

    def fill_the_rest(self):
        with open(os.path.join(self.mount_point, "rest"), "ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1024))
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)
            os.fsync(file.fileno())

    def fills_up(self, cache):
        random_ = suite.seeded()
        served = node.Node({"db": 256 * MiB}, cache=cache, config={"data_dir": os.path.join(self.mount_point, "data")})
        with served:
            connection = connect(served.uri("db"))
            written, errors = {}, []
            for number in range(256):
                data = random_.randbytes(MiB)
                error = error_of(connection.pwrite, data, number * MiB)
                if error is None:
                    written[number] = data
                else:
                    errors.append(error)
                    if len(errors) == 5:
                        break
            self.assertEqual(set(errors), {"ENOSPC"}, f"after {len(written)} MiB")
            self.assertGreater(len(written), 20)
            error_of(connection.flush)
            for number, data in written.items():
                self.assertEqual(connection.pread(MiB, number * MiB), data, number)
            connection.shutdown()
            self.assertIn(served.stop(), (0,))
            self.fill_the_rest()
            served.start()               # on a disk without a free byte
            served.kill()
            self.fill_the_rest()
            served.start()               # also after a crash
            connection = connect(served.uri("db"))
            for number, data in written.items():
                self.assertEqual(connection.pread(MiB, number * MiB), data, number)
            os.unlink(self.ballast)
            os.sync()
            connection.pwrite(b"Z" * 4096, 255 * MiB)
            connection.flush()           # goes on without a restart: a full disk is no broken disk
            self.assertEqual(connection.pread(4096, 255 * MiB), b"Z" * 4096)
            connection.shutdown()

    def test_buffered(self):
        self.fills_up("buffered")

    def test_direct(self):
        self.fills_up("direct")


class FaultyDisk:
    """A block device whose behaviour is switched by files: fail_pread, fail_pwrite, fail_flush; wait_* holds back."""
    script = r"""
case "$1" in
  get_size) stat -c %s "$disk" ;;
  can_write|can_flush|can_trim|can_zero) exit 0 ;;
  can_fua) echo none ;;
  pread|pwrite|flush|trim|zero)
    while [ -e "$switches/wait_$1" ]; do sleep 0.02; done
    if [ -e "$switches/fail_$1" ]; then echo EIO injected >&2; exit 1; fi
    case "$1" in
      pread) dd if="$disk" bs=64k iflag=skip_bytes,count_bytes skip="$4" count="$3" status=none ;;
      pwrite) dd of="$disk" bs=64k conv=notrunc oflag=seek_bytes seek="$4" status=none ;;
      flush) : ;;
      trim|zero) dd if=/dev/zero of="$disk" bs=64k conv=notrunc iflag=count_bytes oflag=seek_bytes count="$3" seek="$4" status=none ;;
    esac ;;
  thread_model) echo parallel ;;
  *) exit 2 ;;
esac
"""

    def __init__(self):
        self.folder = node.make_folder()
        self.switches = os.path.join(self.folder, "switches")
        os.mkdir(self.switches)
        backing = os.path.join(self.folder, "backing")
        with open(backing, "wb") as file:
            file.truncate(SIZE)
        script = os.path.join(self.folder, "plugin.sh")
        with open(script, "w") as file:
            file.write(f"#!/bin/sh\ndisk={backing} switches={self.switches}\n{self.script}")
        os.chmod(script, 0o755)
        path = os.path.join(self.folder, "nbdkit.sock")
        self.server = node.spawn(["nbdkit", "-f", "-U", path, "sh", script], stderr=subprocess.DEVNULL)
        node.wait_until(lambda: os.path.exists(path), 30, "nbdkit")
        try:
            self.disk = filesystem_test.Disk("nbd+unix:///?socket=" + path, "--direct-io=on")
        except BaseException:
            self.server.kill()
            raise
        self.device = self.disk.loop

    def switch(self, name, on):
        path = os.path.join(self.switches, name)
        if on:
            open(path, "w").close()
        else:
            os.unlink(path)

    def close(self):
        for name in os.listdir(self.switches):
            os.unlink(os.path.join(self.switches, name))
        self.disk.close()
        self.server.kill()
        self.server.wait()


class faulty_disk(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("loop devices need root")
        try:
            self.disk = FaultyDisk()
        except filesystem_test.Refused as why:
            self.skipTest(str(why))
        self.addCleanup(self.disk.close)

    def node_on_it(self, cache):
        # A healthy volume on the same node: a broken disk is nobody else's problem.
        return node.Node([{"name": "bad", "path": self.disk.device, "cache": cache},
                          {"name": "good", "size": "16MiB", "cache": cache}])

    def test_read_and_write_errors_reach_the_client_and_pass_when_the_disk_recovers(self):
        with self.node_on_it("direct") as served:
            bad, good = connect(served.uri("bad")), connect(served.uri("good"))
            bad.pwrite(b"a" * 65536, MiB)
            self.disk.switch("fail_pread", True)
            self.assertEqual(error_of(bad.pread, 65536, MiB), "EIO")
            self.disk.switch("fail_pread", False)
            self.assertEqual(bad.pread(65536, MiB), b"a" * 65536)
            self.disk.switch("fail_pwrite", True)
            self.assertEqual(error_of(bad.pwrite, b"b" * 65536, 2 * MiB), "EIO")
            good.pwrite(b"g" * 4096, 0)
            good.flush()
            self.disk.switch("fail_pwrite", False)
            bad.pwrite(b"c" * 65536, 2 * MiB)
            self.assertEqual(bad.pread(65536, 2 * MiB), b"c" * 65536)
            bad.shutdown()
            good.shutdown()

    def failed_sync_stays_failed(self, cache):
        with self.node_on_it(cache) as served:
            bad = connect(served.uri("bad"))
            bad.pwrite(b"a" * 65536, MiB)
            bad.flush()
            bad.pwrite(b"b" * 65536, MiB)
            self.disk.switch("fail_flush", True)
            self.assertEqual(error_of(bad.flush), "EIO")
            self.disk.switch("fail_flush", False)
            # The disk is well again, but what the failed flush lost nobody knows: writes stay refused.
            self.assertEqual(error_of(bad.pwrite, b"c" * 4096, MiB), "EIO")
            self.assertEqual(error_of(bad.flush), "EIO")
            self.assertEqual(len(bad.pread(4096, MiB)), 4096)
            good = connect(served.uri("good"))
            good.pwrite(b"g" * 4096, 0)
            good.flush()
            good.shutdown()
            self.assertEqual(self.state_of(served, "bad"), "writes failed")
            served.kill()
            served.start()
            bad = connect(served.uri("bad"))
            self.assertEqual(error_of(bad.pwrite, b"c" * 4096, MiB), "EIO", "forgotten after a crash")
            bad.shutdown()
            self.assertEqual(served.stop(), 0)
            served.start()
            bad = connect(served.uri("bad"))
            self.assertEqual(error_of(bad.pwrite, b"c" * 4096, MiB), "EIO", "forgotten after a restart")
            served.cli("volume", "clear", "bad")
            self.assertEqual(self.state_of(served, "bad"), "serving")
            bad = connect(served.uri("bad"))
            bad.pwrite(b"d" * 4096, MiB)
            bad.flush()
            bad.shutdown()

    @staticmethod
    def state_of(served, name):
        return {v["name"]: v["state"] for v in served.cli_json("volume", "ls")}[name]

    def test_a_failed_flush_stays_failed_until_an_operator_acts_buffered(self):
        self.failed_sync_stays_failed("buffered")

    def test_a_failed_flush_stays_failed_until_an_operator_acts_direct(self):
        self.failed_sync_stays_failed("direct")

    def test_a_disk_that_hangs_holds_up_its_own_volume_only(self):
        with self.node_on_it("direct") as served:
            bad, good = connect(served.uri("bad")), connect(served.uri("good"))
            self.disk.switch("wait_pwrite", True)
            answers = []
            held = threading.Thread(target=lambda: answers.append(error_of(bad.pwrite, b"h" * 65536, MiB)))
            held.start()
            for number in range(300):
                good.pwrite(bytes([number % 255]) * 4096, number % 64 * 4096)
                good.pread(4096, 0)
            good.flush()
            self.assertEqual(answers, [])
            self.assertEqual(served.cli("status", check=False).returncode, 0)
            other = connect(served.uri("good"))  # new connections are served, too
            other.pread(4096, 0)
            other.shutdown()
            self.disk.switch("wait_pwrite", False)
            held.join(120)
            self.assertEqual(answers, [None])
            self.assertEqual(bad.pread(65536, MiB), b"h" * 65536)
            bad.shutdown()
            good.shutdown()


if __name__ == "__main__":
    suite.main()
