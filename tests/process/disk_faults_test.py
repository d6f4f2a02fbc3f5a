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

    def test_a_refused_zeroing_leaves_the_space_to_the_others(self):
        for cache in ("buffered", "direct"):
            served = node.Node([{"name": "big", "size": "1GiB", "cache": cache}, {"name": "small", "size": "16MiB"}],
                               config={"data_dir": os.path.join(self.mount_point, "data-" + cache)})
            with served:
                big, small = connect(served.uri("big")), connect(served.uri("small"))
                big.pwrite(b"k" * MiB, 4 * MiB)
                big.flush()
                free = os.statvfs(self.mount_point).f_bavail
                self.assertEqual(error_of(big.zero, 512 * MiB, 3 * MiB + 100, nbd.CMD_FLAG_NO_HOLE), "ENOSPC")
                self.assertGreater(os.statvfs(self.mount_point).f_bavail, free - 1024, "the disk is full now")
                small.pwrite(b"s" * (8 * MiB), 0)
                small.flush()
                # What has its space already can be zeroed on the fullest disk.
                big.zero(MiB, 4 * MiB, nbd.CMD_FLAG_NO_HOLE)
                self.assertEqual(big.pread(MiB, 4 * MiB), bytes(MiB))
                big.shutdown()
                small.shutdown()

    def test_a_refused_resize_does_not_take_effect_at_the_next_start(self):
        with node.Node({"db": 16 * MiB}, config={"data_dir": os.path.join(self.mount_point, "data")}) as served:
            served.cli("volume", "create", "hand", "--size", "1GiB")
            self.fill_the_rest()
            refused = served.cli("volume", "resize", "hand", "2GiB", check=False)
            if refused.returncode == 0:
                self.skipTest("this file system grows a file without space")
            os.unlink(self.ballast)
            os.unlink(os.path.join(self.mount_point, "rest"))
            self.assertEqual(served.stop(), 0)
            served.start()
            connection = connect(served.uri("hand"))
            self.assertEqual(connection.get_size(), 1 << 30)
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


class dying_disk(unittest.TestCase):
    """The data directory itself lies on the disk that fails: the failure cannot be recorded in meta/ either."""

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("loop devices need root")
        try:
            self.disk = FaultyDisk()
        except filesystem_test.Refused as why:
            self.skipTest(str(why))
        self.addCleanup(self.disk.close)
        self.mount_point = os.path.join(node.make_folder(), "d")
        os.mkdir(self.mount_point)
        node.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.disk.device],
                 env=filesystem_test.ENVIRONMENT)
        self.mount()
        self.addCleanup(subprocess.run, ["umount", "-l", self.mount_point], stderr=subprocess.DEVNULL)

    def mount(self):
        if node.run(["mount", self.disk.device, self.mount_point], check=False).returncode != 0:
            self.skipTest("cannot mount here")

    def break_and_mend(self, end):
        """A failed flush, then the end of the node, then a disk that works again. The node after that."""
        served = node.Node([{"name": "db", "size": "16MiB"}, {"name": "idle", "size": "16MiB"}],
                           config={"data_dir": os.path.join(self.mount_point, "data")})
        served.start()
        self.addCleanup(served.kill)
        connection = connect(served.uri("db"))
        connection.pwrite(b"a" * 65536, 0)
        connection.flush()
        connection.pwrite(b"b" * 65536, MiB)
        for name in ("fail_pwrite", "fail_flush"):
            self.disk.switch(name, True)
        self.assertEqual(error_of(connection.flush), "EIO")
        # It cannot be recorded: nothing more is promised, reads included.
        self.assertEqual(error_of(connection.pread, 4096, 0), "EIO")
        self.assertEqual(error_of(connection.pwrite, b"c" * 4096, 0), "EIO")
        end(served)
        for name in ("fail_pwrite", "fail_flush"):
            self.disk.switch(name, False)
        node.wait_until(lambda: subprocess.run(["umount", self.mount_point], capture_output=True).returncode == 0, 30,
                        "umount")
        subprocess.run(["e2fsck", "-fy", self.disk.device], capture_output=True)
        self.mount()
        served.start()
        return served

    def check_remembered(self, served):
        states = {v["name"]: v["state"] for v in served.cli_json("volume", "ls")}
        self.assertEqual(states["db"], "writes failed")
        self.assertTrue(any("db" in p for p in served.cli_json("status")["problems"]))
        connection = connect(served.uri("db"))
        self.assertEqual(error_of(connection.pwrite, b"c" * 4096, 0), "EIO")
        connection.shutdown()
        for name in ("db", "idle"):
            served.cli("volume", "clear", name)
        self.assertEqual(served.cli_json("status")["problems"], [])
        connection = connect(served.uri("db"))
        connection.pwrite(b"d" * 4096, 0)
        connection.flush()
        connection.shutdown()
        self.assertEqual(served.stop(), 0)
        served.start()
        self.assertEqual(served.cli_json("status")["problems"], [])

    def test_a_failed_flush_is_remembered_over_a_kill(self):
        self.check_remembered(self.break_and_mend(lambda served: served.kill()))

    def test_a_failed_flush_is_remembered_over_a_stop_which_has_failed(self):
        self.check_remembered(self.break_and_mend(lambda served: self.assertNotEqual(served.stop(), 0)))


class repaired(unittest.TestCase):
    def test_the_error_of_a_damaged_data_directory_names_the_way_out(self):
        with node.Node({"db": 16 * MiB}) as served:
            connection = connect(served.uri("db"))
            connection.pwrite(b"x" * 4096, 0)
            connection.flush()
            connection.shutdown()
            data = served.config["data_dir"]
            for damage in ("format", "meta"):
                self.assertEqual(served.stop(), 0)
                if damage == "format":
                    with open(os.path.join(data, "format"), "r+b") as file:
                        file.seek(20)
                        flipped = bytes([file.read(1)[0] ^ 4])
                        file.seek(20)
                        file.write(flipped)
                else:
                    os.truncate(os.path.join(data, "meta", "data.mdb"), 100)
                with self.assertRaises(node.StartFailed) as refused:
                    served.start()
                self.assertIn("--repair", refused.exception.log)
                node.run([node.GNOMOND, "--config", served.config_path, "--repair"])
                served.start()
                connection = connect(served.uri("db"))
                self.assertEqual(connection.pread(4096, 0), b"x" * 4096)
                connection.shutdown()

    def test_a_read_only_file_system_under_the_catalogue_is_in_health(self):
        if os.geteuid() != 0:
            self.skipTest("mounting needs root")
        mount_point = os.path.join(node.make_folder(), "m")
        os.mkdir(mount_point)
        if node.run(["mount", "-t", "tmpfs", "none", mount_point], check=False).returncode != 0:
            self.skipTest("cannot mount here")
        self.addCleanup(subprocess.run, ["umount", "-l", mount_point])
        image = os.path.join(node.make_folder(), "v.img")
        with open(image, "wb") as file:
            file.truncate(16 * MiB)
        served = node.Node([{"name": "db", "path": image}], config={"data_dir": os.path.join(mount_point, "data")})
        served.start()
        self.addCleanup(served.kill)
        self.assertEqual(served.cli_json("status")["problems"], [])
        # Open files keep a file system from a plain remount; MS_RDONLY of the superblock alone does not ask them.
        if node.run(["mount", "-o", "remount,ro,force", mount_point], check=False).returncode != 0 and \
           node.run(["mount", "-o", "remount,ro", mount_point], check=False).returncode != 0:
            self.skipTest("this kernel does not remount a file system in use")
        node.wait_until(lambda: any("read-only" in p for p in served.cli_json("status")["problems"]), 60, "in status")
        self.assertNotEqual(served.stop(), 0)


class locked_file(unittest.TestCase):
    def test_a_virtual_machine_s_tools_and_a_volume_keep_each_other_out(self):
        suite.need("qemu-io", "qemu-img")
        image = os.path.join(node.make_folder(), "v.img")
        with open(image, "wb") as file:
            file.truncate(16 * MiB)
        with node.Node([{"name": "v", "path": image}, {"name": "other", "size": "16MiB"}]) as served:
            write = ["qemu-io", "-f", "raw", "-c", "write 0 4096", image]
            refused = node.run(write, check=False)
            self.assertIn("lock", refused.stdout + refused.stderr)
            node.run(["qemu-img", "info", "-U", image])
            served.stop()
            self.assertIn("wrote", node.run(write).stdout)
            # The other way round: qemu holds the image, the node serves the rest, and the volume once it is free.
            holder = node.spawn(["qemu-io", "-f", "raw", image], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
            holder.stdin.write(b"write 0 4096\n")
            holder.stdin.flush()
            holder.stdout.readline()
            served.start()
            self.assertIsNotNone(error_of(connect, served.uri("v")))
            connect(served.uri("other")).shutdown()
            self.assertIn("in use", served.cli_json("volume", "show", "v")["problem"])
            holder.kill()
            holder.wait()
            node.wait_until(lambda: error_of(connect, served.uri("v")) is None, 60, "the volume is served")
            self.assertEqual(served.cli_json("status")["problems"], [])


class damaged_file(unittest.TestCase):
    def test_a_file_that_lost_its_end_is_not_served_until_an_operator_acts(self):
        with node.Node({"db": 16 * MiB, "other": 16 * MiB}) as served:
            connection = connect(served.uri("db"))
            connection.pwrite(b"x" * 4096, 12 * MiB)
            connection.flush()
            connection.shutdown()
            path = served.cli_json("volume", "show", "db")["path"]
            self.assertEqual(served.stop(), 0)
            with open(path, "rb") as file:
                whole = file.read()
            os.truncate(path, 4 * MiB)
            for _ in range(2):
                served.start()
                self.assertIsNotNone(error_of(connect, served.uri("db")))
                connect(served.uri("other")).shutdown()
                shown = served.cli_json("volume", "show", "db")
                self.assertEqual(shown["state"], "damaged")
                self.assertIn("accept-loss", shown["problem"])
                self.assertTrue(any("db" in p for p in served.cli_json("status")["problems"]))
                self.assertEqual(os.path.getsize(path), 4 * MiB)
                served.stop()
            served.start()
            with open(path, "r+b") as file:   # one way out: the file is put back, nothing needs a restart
                file.write(whole)
            node.wait_until(lambda: error_of(connect, served.uri("db")) is None, 60, "the volume is served")
            connection = connect(served.uri("db"))
            self.assertEqual(connection.pread(4096, 12 * MiB), b"x" * 4096)
            connection.shutdown()
            self.assertEqual(served.cli_json("status")["problems"], [])
            served.stop()
            os.truncate(path, 4 * MiB)
            served.start()
            self.assertEqual(served.cli("volume", "accept-loss", "other", check=False).returncode, 1)
            served.cli("volume", "accept-loss", "db")   # the other one
            connection = connect(served.uri("db"))
            self.assertEqual(connection.pread(4096, 12 * MiB), bytes(4096))
            connection.shutdown()
            self.assertEqual(served.cli_json("status")["problems"], [])


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

    def test_a_sync_that_fails_at_the_stop_is_remembered(self):
        with self.node_on_it("buffered") as served:
            bad = connect(served.uri("bad"))
            bad.pwrite(b"a" * 65536, MiB)
            bad.shutdown()
            self.disk.switch("fail_flush", True)
            self.assertEqual(served.stop(), 0)      # recorded: nothing is forgotten
            self.disk.switch("fail_flush", False)
            served.start()
            self.assertEqual(self.state_of(served, "bad"), "writes failed")
            bad = connect(served.uri("bad"))
            self.assertEqual(error_of(bad.pwrite, b"c" * 4096, MiB), "EIO")
            bad.shutdown()

    def test_a_node_that_is_killed_when_the_client_hears_of_it_remembers(self):
        with self.node_on_it("buffered") as served:
            for _ in range(5):
                bad = connect(served.uri("bad"))
                bad.pwrite(b"a" * 65536, MiB)
                self.disk.switch("fail_flush", True)
                self.assertEqual(error_of(bad.flush), "EIO")
                served.kill()
                self.disk.switch("fail_flush", False)
                served.start()
                self.assertEqual(self.state_of(served, "bad"), "writes failed")
                served.cli("volume", "clear", "bad")

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
