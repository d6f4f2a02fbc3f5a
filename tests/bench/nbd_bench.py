#!/usr/bin/python3
"""Gnomon, nbdkit and qemu-nbd side by side: the same fio jobs, alternating, round after round.

Absolute figures depend on the machine and its mood; ratios within one round do not, so those come first: the median
over rounds of the ratio of two servers measured one right after the other, with the smallest and the largest. Server
CPU is the server's own (user and system time of the process, ended threads included), never fio's.
Writes a table in Markdown to standard output, progress to standard error.

usage: nbd_bench.py [--quick] [--rounds N] [--seconds S] [--size-mib M] [--transport unix|tcp] [--cache warm|direct]
                    [--json FILE]
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../process"))
import node  # the process tests' way to start a node

SERVERS = ("gnomon", "nbdkit", "qemu-nbd")
# name, fio's rw, block size, queue depth
PATTERNS = (("4 KiB random read, QD1", "randread", "4k", 1),
            ("4 KiB random write, QD1", "randwrite", "4k", 1),
            ("4 KiB random read, QD32", "randread", "4k", 32),
            ("4 KiB random write, QD32", "randwrite", "4k", 32),
            ("256 KiB sequential read, QD8", "read", "256k", 8),
            ("256 KiB sequential write, QD8", "write", "256k", 8))
# What the project set itself: (pattern, measure) -> (at least | at most, ratio to nbdkit on a warm cache and a Unix socket)
AIMS = {("4 KiB random read, QD1", "latency"): ("at most", 0.8),
        ("4 KiB random write, QD1", "latency"): ("at most", 0.8),
        ("4 KiB random read, QD32", "rate"): ("at least", 1.6),
        ("4 KiB random read, QD32", "cpu"): ("at most", 0.5),
        ("4 KiB random write, QD32", "rate"): ("at least", 1.1),
        ("4 KiB random write, QD32", "cpu"): ("at most", 0.8),
        ("256 KiB sequential read, QD8", "rate"): ("at least", 1.5),
        ("256 KiB sequential write, QD8", "rate"): ("at least", 1.5)}
RAW_AIM = ("at least", 0.9)              # O_DIRECT QD32 against fio's io_uring on the same file


def progress(text):
    print(text, file=sys.stderr, flush=True)


def process_cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port():
    import socket
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Field:
    """All servers and a file per server and cache mode, which change hands each round: two files of one content can
    differ by a factor of two in speed (how the page cache and the disk happen to hold them)."""

    def __init__(self, folder, size):
        self.folder, self.size = folder, size
        self.pids, self.uris, self.files, self.processes = {}, {}, {}, []
        for number in range(len(SERVERS)):
            for cache in ("warm", "direct"):
                self.fill(self.path(number, cache))

    def path(self, number, cache):
        return os.path.join(self.folder, f"{number}.{cache}")

    def start(self, round_):
        for place, server in enumerate(SERVERS):
            for cache in ("warm", "direct"):
                self.files[server, cache] = self.path((place + round_) % len(SERVERS), cache)
        self.start_gnomon()
        for transport in ("unix", "tcp"):
            for cache in ("warm", "direct"):
                self.start_nbdkit(transport, cache)
                self.start_qemu(transport, cache)
        for (server, transport, cache), uri in self.uris.items():
            node.wait_until(lambda: node.run(["nbdinfo", "--size", uri], check=False).returncode == 0, 30,
                            f"{server} at {uri}")
        self.warm_up()

    def stop(self):
        for process in self.processes:
            process.terminate()
            process.wait()
        self.processes.clear()
        return self.node.stop()

    def fill(self, path):
        """Random bytes, written out: no holes, nothing dirty."""
        with open(path, "wb") as file:
            for _ in range(self.size // node.MiB):
                file.write(os.urandom(node.MiB))
            file.flush()
            os.fsync(file.fileno())

    def start_gnomon(self):
        volumes = [{"name": cache, "path": self.files["gnomon", cache],
                    "cache": "buffered" if cache == "warm" else "direct"} for cache in ("warm", "direct")]
        self.node = node.Node(volumes).start()
        for transport in ("unix", "tcp"):
            for cache in ("warm", "direct"):
                self.pids["gnomon", transport, cache] = self.node.pid
                self.uris["gnomon", transport, cache] = self.node.uri(cache, transport)

    def place(self, server, transport, cache):
        """Socket path or port of its own, remembered as a URI."""
        if transport == "unix":
            path = os.path.join(self.folder, f"{server}.{cache}.sock")
            if os.path.exists(path):
                os.remove(path) # of the round before
            self.uris[server, transport, cache] = f"nbd+unix:///?socket={path}"
            return path
        port = free_port()
        self.uris[server, transport, cache] = f"nbd://127.0.0.1:{port}/"
        return str(port)

    def start_nbdkit(self, transport, cache):
        where = self.place("nbdkit", transport, cache)
        listen = ["-U", where] if transport == "unix" else ["-i", "127.0.0.1", "-p", where]
        # nbdkit's file plugin has no O_DIRECT; cache=none drops pages behind it with fadvise.
        options = ["cache=none"] if cache == "direct" else []
        self.spawn(["nbdkit", "-f", *listen, "file", self.files["nbdkit", cache], *options],
                   "nbdkit", transport, cache)

    def start_qemu(self, transport, cache):
        where = self.place("qemu-nbd", transport, cache)
        listen = ["-k", where] if transport == "unix" else ["-b", "127.0.0.1", "-p", where]
        mode = ["--cache=none", "--aio=io_uring"] if cache == "direct" else ["--cache=writeback", "--aio=io_uring"]
        command = ["qemu-nbd", "--persistent", "--shared=0", "-f", "raw", *listen, *mode,
                   self.files["qemu-nbd", cache]]
        self.spawn(command, "qemu-nbd", transport, cache)

    def spawn(self, command, *key):
        self.processes.append(node.spawn(command, stderr=subprocess.DEVNULL))
        self.pids[key] = self.processes[-1].pid

    def warm_up(self):
        for (_, cache), path in self.files.items():
            if cache == "warm":
                with open(path, "rb") as file:
                    while file.read(4 * node.MiB):
                        pass

    def settle(self, path):
        """Writes out what a job left dirty, so that the next one does not pay for it."""
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def fio(arguments, rw, block, depth, size, seconds):
    """One job; returns {rate: requests per second, bytes_rate, latency_us: mean, requests}."""
    done = node.run(["fio", "--name=bench", *arguments, f"--rw={rw}", f"--bs={block}", f"--iodepth={depth}",
                     f"--size={size}", "--time_based", f"--runtime={seconds}", "--norandommap", "--randrepeat=0",
                     "--output-format=json"], limit=seconds * 10 + 120, cwd=node.make_folder())
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    side = job["read" if "read" in rw else "write"]
    return {"rate": side["iops"], "bytes_rate": side["bw_bytes"], "latency_us": side["clat_ns"]["mean"] / 1000,
            "requests": side["total_ios"]}


def measure(field, server, transport, cache, pattern, seconds):
    name, rw, block, depth = pattern
    before = process_cpu_seconds(field.pids[server, transport, cache])
    found = fio(["--ioengine=nbd", f"--uri={field.uris[server, transport, cache]}"], rw, block, depth, field.size,
                seconds)
    spent = process_cpu_seconds(field.pids[server, transport, cache]) - before
    found["cpu_us"] = spent * 1e6 / found["requests"]
    if "write" in rw:
        field.settle(field.files[server, cache])
    return found


def run_rounds(field, options):
    """{(pattern name, transport, cache, server): [one measurement per round]}; server "raw" is fio on the file."""
    results = {}
    for round_ in range(options.rounds):
        field.start(round_)
        for cache in options.caches:
            for transport in options.transports:
                for pattern in PATTERNS:
                    shift = round_ % len(SERVERS)
                    for server in SERVERS[shift:] + SERVERS[:shift]:
                        found = measure(field, server, transport, cache, pattern, options.seconds)
                        results.setdefault((pattern[0], transport, cache, server), []).append(found)
                        progress(f"round {round_ + 1}/{options.rounds} {cache} {transport} {pattern[0]}: {server} "
                                 f"{found['rate']:.0f}/s {found['cpu_us']:.2f} us CPU")
                if cache == "direct":
                    measure_raw(field, transport, options, results)
        if (code := field.stop()) != 0:
            sys.exit(code)
    return results


def measure_raw(field, transport, options, results):
    for name, rw, block, depth in PATTERNS:
        if depth == 32:
            found = fio(["--ioengine=io_uring", "--direct=1", f"--filename={field.files['gnomon', 'direct']}"], rw,
                        block, depth, field.size, options.seconds)
            results.setdefault((name, transport, "direct", "raw"), []).append(found)
            progress(f"  raw io_uring {name}: {found['rate']:.0f}/s")


def ratios(results, key, measure_name, ours, theirs):
    """Per-round ratios as (median, min, max); None where one side was not measured."""
    mine, other = results.get((*key, ours)), results.get((*key, theirs))
    if not mine or not other:
        return None
    each = [a[measure_name] / b[measure_name] for a, b in zip(mine, other) if b[measure_name] > 0]
    return (statistics.median(each), min(each), max(each)) if each else None


def shown(ratio):
    return "-" if ratio is None else "**%.2f** (%.2f..%.2f)" % ratio


def verdict(aim, ratio):
    if aim is None or ratio is None:
        return ""
    kind, bound = aim
    met = ratio[0] >= bound if kind == "at least" else ratio[0] <= bound
    return f"{kind} {bound:g}: {'met' if met else 'NOT met'}"


def report(results, options):
    keys = list(dict.fromkeys(key[:3] for key in results))
    print("### Ratios (medians of per-round ratios, min..max)\n")
    print("Rate and latency: Gnomon / the other, so rates above 1 and latencies and CPU below 1 are in Gnomon's favour. "
          "CPU is the server's own time per request.\n")
    print("| cache | socket | job | rate vs nbdkit | CPU vs nbdkit | latency vs nbdkit | rate vs qemu-nbd "
          "| CPU vs qemu-nbd | aim vs nbdkit |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, transport, cache in keys:
        key = (name, transport, cache)
        rate, cpu = ratios(results, key, "rate", "gnomon", "nbdkit"), ratios(results, key, "cpu_us", "gnomon", "nbdkit")
        latency = ratios(results, key, "latency_us", "gnomon", "nbdkit") if name.endswith("QD1") else None
        aims = []
        if (transport, cache) == ("unix", "warm"):
            for measure_name, ratio in (("rate", rate), ("cpu", cpu), ("latency", latency)):
                text = verdict(AIMS.get((name, measure_name)), ratio)
                if text:
                    aims.append(f"{measure_name} {text}")
        print(f"| {cache} | {transport} | {name} | {shown(rate)} | {shown(cpu)} | {shown(latency)} "
              f"| {shown(ratios(results, key, 'rate', 'gnomon', 'qemu-nbd'))} "
              f"| {shown(ratios(results, key, 'cpu_us', 'gnomon', 'qemu-nbd'))} | {'; '.join(aims)} |")
    raw = [key for key in keys if (*key, "raw") in results]
    if raw:
        print("\nO_DIRECT against `fio --ioengine=io_uring --direct=1` on Gnomon's own file:\n")
        print("| socket | job | Gnomon / raw | aim | nbdkit (cache=none, not O_DIRECT) / raw | qemu-nbd / raw |")
        print("|---|---|---|---|---|---|")
        for key in raw:
            ours = ratios(results, key, "rate", "gnomon", "raw")
            print(f"| {key[1]} | {key[0]} | {shown(ours)} | {verdict(RAW_AIM, ours)} "
                  f"| {shown(ratios(results, key, 'rate', 'nbdkit', 'raw'))} "
                  f"| {shown(ratios(results, key, 'rate', 'qemu-nbd', 'raw'))} |")
    print("\n### Absolute figures of this run (medians)\n")
    print("| cache | socket | job | Gnomon | nbdkit | qemu-nbd |")
    print("|---|---|---|---|---|---|")
    for name, transport, cache in keys:
        cells = []
        for server in SERVERS:
            each = results[name, transport, cache, server]
            middle = {what: statistics.median(one[what] for one in each) for what in each[0]}
            speed = f"{middle['bytes_rate'] / 1e9:.2f} GB/s" if "256" in name else f"{middle['rate'] / 1000:.1f}k/s"
            lag = f", {middle['latency_us']:.1f} us" if name.endswith("QD1") else ""
            cells.append(f"{speed}{lag}, {middle['cpu_us']:.2f} us CPU")
        print(f"| {cache} | {transport} | {name} | {' | '.join(cells)} |")
    print()
    print(describe(options))


def describe(options):
    def version(*command):
        return node.run(list(command), check=False).stdout.splitlines()[0].strip()
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown CPU")
    return (f"{options.rounds} rounds of {options.seconds} s per job, servers alternating and changing files; {options.size_mib} MiB files on "
            f"{os.cpu_count()} cores of {model}, Linux {platform.release()}; {version('fio', '--version')}, "
            f"{version('nbdkit', '--version')}, {version('qemu-nbd', '--version')}. \"direct\" is O_DIRECT for Gnomon and "
            f"`--cache=none --aio=io_uring` for qemu-nbd; nbdkit's file plugin has no O_DIRECT and runs with `cache=none` "
            f"(fadvise), so it still reads and writes through the page cache. qemu-nbd on a warm cache runs with "
            f"`--cache=writeback --aio=io_uring`.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s, Unix socket only: about 3 minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--size-mib", type=int)
    parser.add_argument("--transport", choices=("unix", "tcp"))
    parser.add_argument("--cache", choices=("warm", "direct"))
    parser.add_argument("--json", help="also write every measurement there")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.size_mib = options.size_mib or (256 if options.quick else 512)
    options.transports = (options.transport,) if options.transport else ("unix",) if options.quick else ("unix", "tcp")
    options.caches = (options.cache,) if options.cache else ("warm", "direct")
    started = time.monotonic()
    field = Field(node.make_folder("gnomon-bench."), options.size_mib * node.MiB)
    results = run_rounds(field, options)
    report(results, options)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({" | ".join(key): value for key, value in results.items()}, file, indent=1)
    progress(f"took {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
