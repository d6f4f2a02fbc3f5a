#!/usr/bin/python3
"""The kernel's own file systems on a volume: NBD -> nbdfuse -> loop -> mkfs, files, trim, remount, fsck."""
import hashlib
import os
import random
import subprocess
import unittest

import node
import suite

suite.need("nbdfuse", "losetup", "mkfs.ext4", "e2fsck", "mount", "umount", "fstrim")
SIZE = 400 * node.MiB
SECONDS = 600 if node.LONG else 5
SYSTEMS = {"ext4": (["mkfs.ext4", "-q", "-F"], ["e2fsck", "-fn"])}
if suite.shutil.which("mkfs.xfs", path="/usr/sbin:/sbin"):
    SYSTEMS["xfs"] = (["mkfs.xfs", "-q", "-f"], ["xfs_repair", "-n"])
ENVIRONMENT = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


class Refused(Exception):
    """The machine does not allow it here (no root, no FUSE, no loop devices)."""


class Disk:
    """The volume as a loop device, through nbdfuse."""

    def __init__(self, uri, *losetup_options):
        self.folder = node.make_folder()
        self.mount_point = os.path.join(self.folder, "mnt")
        os.mkdir(self.mount_point)
        self.fuse = self.loop = None
        target = os.path.join(self.folder, "disk")
        open(target, "w").close()
        said = os.path.join(self.folder, "fuse.log")
        with open(said, "w") as log:
            self.fuse = node.spawn(["nbdfuse", "-C", "4", target, uri], stdout=log, stderr=log)
        try:
            node.wait_until(lambda: os.path.getsize(target) > 0 or self.fuse.poll() is not None, 30, "nbdfuse")
            if self.fuse.poll() is not None:
                with open(said) as log:
                    raise Refused("nbdfuse: " + log.read().strip()[-200:])
            self.target = target
            set_up = node.run(["losetup", "-f", "--show", *losetup_options, target], check=False, env=ENVIRONMENT)
            if set_up.returncode != 0:
                raise Refused("losetup: " + set_up.stderr.strip()[-200:])
            self.loop = set_up.stdout.strip()
        except BaseException:
            self.close()
            raise

    def run(self, *argv):
        return node.run(list(argv), env=ENVIRONMENT).stdout

    def close(self):
        subprocess.run(["umount", self.mount_point], stderr=subprocess.DEVNULL)
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop], env=ENVIRONMENT)
        if self.fuse and self.fuse.poll() is None:
            self.fuse.terminate()
            self.fuse.wait(60)
        subprocess.run(["umount", os.path.join(self.folder, "disk")], stderr=subprocess.DEVNULL)


def tree_digest(folder):
    whole = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            whole.update(name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


class filesystem(unittest.TestCase):
    def on_disk(self, cache, transport):
        if os.geteuid() != 0:
            self.skipTest("mounting needs root")
        with node.Node({"db": SIZE}, cache=cache) as served:
            for system, (make, check) in SYSTEMS.items():
                with self.subTest(system=system):
                    try:
                        disk = Disk(served.uri("db", transport))
                    except Refused as why:
                        self.skipTest(str(why))
                    try:
                        self.exercise(disk, make, check)
                    finally:
                        disk.close()

    def exercise(self, disk, make, check):
        disk.run(*make, disk.loop)
        disk.run("mount", disk.loop, disk.mount_point)
        tree = os.path.join(disk.mount_point, "tree")
        os.mkdir(tree)
        random_ = random.Random(9)
        for number in range(300):
            with open(os.path.join(tree, f"file{number}"), "wb") as file:
                file.write(random_.randbytes(random_.choice([0, 1, 100, 4096, 5000, 65536, 300000])))
        before = tree_digest(tree)
        disk.run("fio", "--name=verify", f"--filename={disk.mount_point}/fio", "--size=32M", "--rw=randwrite",
                 "--bsrange=4k-64k", "--ioengine=psync", "--fsync=16", "--verify=crc32c", "--do_verify=1",
                 "--verify_fatal=1", "--verify_state_save=0", f"--runtime={SECONDS}", "--minimal")
        os.unlink(os.path.join(disk.mount_point, "fio"))
        disk.run("fstrim", disk.mount_point)
        disk.run("umount", disk.mount_point)
        disk.run("blockdev", "--flushbufs", disk.loop)
        disk.run(*check, disk.loop)
        disk.run("mount", disk.loop, disk.mount_point)
        self.assertEqual(tree_digest(tree), before)
        disk.run("umount", disk.mount_point)

    def test_buffered_over_a_unix_socket(self):
        self.on_disk("buffered", "unix")

    def test_direct_over_tcp(self):
        self.on_disk("direct", "tcp")


if __name__ == "__main__":
    suite.main()
