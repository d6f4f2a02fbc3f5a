#!/usr/bin/python3
"""Incremental backup of a volume into a raw image, with nbdcopy and libnbd: the first run copies everything, each later
one only what changed since, by `gnomon snapshot diff`.

    incremental_backup.py --config node.json --uri 'nbd+unix:///{}?socket=/run/gnomon/nbd.sock' VOLUME IMAGE

IMAGE.state names the snapshot that the image equals; it is written last, so an interrupted run is made again. Restore:
`nbdcopy IMAGE URI` into a volume of that size, or use the image as it is (`qemu-img convert`, a loop device)."""
import argparse
import json
import os
import subprocess

import nbd

PIECE = 4 << 20


def gnomon(options, *arguments):
    done = subprocess.run([options.gnomon, "--config", options.config, "--json", *arguments], check=True,
                          stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def copy_changes(options, source, older, newer):
    """What differs between the two snapshots; a stream that may be resumed at any offset."""
    changed, at = 0, 0
    image = os.open(options.image, os.O_WRONLY)
    handle = nbd.NBD()
    handle.connect_uri(source)
    while True:
        part = gnomon(options, "snapshot", "diff", older, newer, "--from-offset", str(at), "--max", "4096")
        os.ftruncate(image, part["size_bytes"])
        for extent in part["extents"]:
            offset, end = extent["offset"], extent["offset"] + extent["length"]
            while offset < end:
                length = min(PIECE, end - offset)
                data = bytes(length) if extent["zero"] else handle.pread(length, offset)
                assert os.pwrite(image, data, offset) == length
                offset += length
            changed += extent["length"]
        at = part["next_offset"]
        if at >= part["size_bytes"]:
            break
    os.fsync(image)
    os.close(image)
    handle.shutdown()
    return changed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gnomon", default="gnomon")
    parser.add_argument("--config", required=True)
    parser.add_argument("--uri", required=True, help="of an export; {} stands for its name")
    parser.add_argument("volume")
    parser.add_argument("image")
    options = parser.parse_args()
    state_path = options.image + ".state"
    older = open(state_path).read().strip() if os.path.exists(state_path) else None
    newer = gnomon(options, "snapshot", "create", options.volume, "--wait", "--note", "backup")["id"]
    # The snapshot's content as an export: a clone is readable at once.
    clone = f"backup-{newer[:8]}"
    gnomon(options, "volume", "create", clone, "--from", newer)
    source = options.uri.format(clone)
    if older is None or not os.path.exists(options.image):
        size = gnomon(options, "snapshot", "show", newer)["size_bytes"]
        with open(options.image, "wb") as image:
            image.truncate(size)
        subprocess.run(["nbdcopy", "--destination-is-zero", source, options.image], check=True)
        print(f"full backup of {size} bytes at snapshot {newer}")
    else:
        print(f"{copy_changes(options, source, older, newer)} bytes changed since snapshot {older}, now {newer}")
    with open(state_path + ".new", "w") as state:
        state.write(newer + "\n")
        state.flush()
        os.fsync(state.fileno())
    os.replace(state_path + ".new", state_path)
    gnomon(options, "volume", "delete", clone)
    gnomon(options, "volume", "purge", clone, "--yes")
    if older is not None:
        gnomon(options, "snapshot", "rm", older)


if __name__ == "__main__":
    main()
