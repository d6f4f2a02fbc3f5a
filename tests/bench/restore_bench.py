#!/usr/bin/python3
"""What a restore and a capture cost: the time from the command to the first byte read from the restored volume, against
the time until all of it is copied; and client p99 of 4 KiB writes while a snapshot is captured, against just before.

Ratios within one round come first, medians over rounds: absolute figures depend on the machine. Writes Markdown to
standard output, progress to standard error.

usage: restore_bench.py [--size-mib M] [--rounds N] [--json FILE]
"""
import argparse
import json
import os
import random
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../process"))
import node  # the process tests' way to start a node
import suite

nbd = suite.need_nbd()
MiB = node.MiB


def connected(served, export):
    handle = nbd.NBD()
    handle.connect_uri(served.uri(export))
    return handle


def p99(latencies):
    return sorted(latencies)[int(len(latencies) * 0.99)] if latencies else float("nan")


class Writers:
    """Sixteen clients that write 4 KiB at random, one after the other; latencies with their end."""

    def __init__(self, served, size):
        self.latencies, self.stopping = [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(served, size, seed)) for seed in range(16)]
        for thread in self.threads:
            thread.start()

    def run(self, served, size, seed):
        handle, rng, data = connected(served, "db"), random.Random(seed), os.urandom(4096)
        while not self.stopping.is_set():
            begun = time.monotonic()
            handle.pwrite(data, rng.randrange(size // 4096) * 4096)
            ended = time.monotonic()
            self.latencies.append((ended, ended - begun))
        handle.shutdown()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def between(self, begin, end):
        return [latency for at, latency in self.latencies if begin <= at < end]


def restore_round(served, snapshot, number, size):
    name = f"copy{number}"
    begun = time.monotonic()
    served.cli("snapshot", "restore", snapshot, "--to", name)
    answered = time.monotonic()
    handle = connected(served, name)
    handle.pread(4096, random.randrange(size // 4096) * 4096)
    first_byte = time.monotonic()
    while any(not r["done"] for r in served.cli_json("snapshot", "restores")):
        time.sleep(0.02)
    done = time.monotonic()
    handle.shutdown()
    served.cli("volume", "delete", name)
    served.cli("volume", "purge", name, "--yes")
    return {"command_s": answered - begun, "first_byte_s": first_byte - begun, "full_copy_s": done - begun}


def capture_round(served, size):
    writers = Writers(served, size)
    time.sleep(2)
    begun = time.monotonic()
    before = writers.between(begun - 1, begun)
    served.cli("snapshot", "create", "db", "--wait")
    ended = time.monotonic()
    time.sleep(0.2)
    writers.stop()
    second = writers.between(begun, min(ended, begun + 1))
    return {"before_p99_ms": p99(before) * 1e3, "cut_p99_ms": p99(second) * 1e3,
            "capture_p99_ms": p99(writers.between(begun, ended)) * 1e3, "capture_s": ended - begun}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    size = options.size_mib * MiB
    with node.Node({"db": size}) as served:
        db = connected(served, "db")
        for at in range(0, size, MiB):
            db.pwrite(os.urandom(MiB // 2) + bytes(MiB // 2), at)
        db.shutdown()
        snapshot = served.cli_json("snapshot", "create", "db", "--wait")["id"]
        restores = []
        for number in range(options.rounds):
            restores.append(restore_round(served, snapshot, number, size))
            print(restores[-1], file=sys.stderr, flush=True)
        captures = []
        for number in range(options.rounds):
            captures.append(capture_round(served, size))
            print(captures[-1], file=sys.stderr, flush=True)
    median = lambda rows, key: statistics.median(key(row) if callable(key) else row[key] for row in rows)
    print(f"{options.size_mib} MiB, half of it zeros, {options.rounds} rounds, medians\n")
    print("| restore | |\n|---|---|")
    print(f"| command until it answers | {median(restores, 'command_s') * 1e3:.0f} ms |")
    print(f"| command until the first byte is read | {median(restores, 'first_byte_s') * 1e3:.0f} ms |")
    print(f"| command until all of it is copied | {median(restores, 'full_copy_s') * 1e3:.0f} ms |")
    print(f"| full copy over first byte | {median(restores, lambda r: r['full_copy_s'] / r['first_byte_s']):.1f} |")
    print("\n| 16 writers of 4 KiB, QD 1 each | p99 | over before |\n|---|---|---|")
    print(f"| in the second before | {median(captures, 'before_p99_ms'):.2f} ms | 1 |")
    for key, what in (("cut_p99_ms", "in the second of the cut"), ("capture_p99_ms", "during the whole capture")):
        ratio = median(captures, lambda r, key=key: r[key] / r["before_p99_ms"])
        print(f"| {what} | {median(captures, key):.2f} ms | {ratio:.2f} |")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"restores": restores, "captures": captures}, file, indent=2)


if __name__ == "__main__":
    main()
