#!/usr/bin/python3
"""What a node costs at rest and with very many volumes and connections.

An idle node with 1,000 volumes of 1 TiB: time from start to the ready line (first start, which creates them, and
restart), memory, share of a core over 30 s. Then 1,000 connections at once: memory per idle connection, and all of
them reading. Memory is the process's resident set; the kernel's socket buffers are not in it. Markdown on standard
output. usage: scale_bench.py [--quick] [--volumes N] [--connections N] [--seconds S]
"""
import argparse
import os
import resource
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../process"))
import node
import raw_nbd as raw

MiB = node.MiB


def timed_start(served):
    started = time.monotonic()
    served.start()
    return time.monotonic() - started


def row(what, found, aim="", met=None):
    print(f"| {what} | {found} | {aim}{'' if met is None else ': met' if met else ': NOT met'} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 s instead of 30 s of idling")
    parser.add_argument("--volumes", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    seconds = options.seconds or (5 if options.quick else 30)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = options.connections + 256
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"the hard limit of open files is {hard}, {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, 1024), hard))

    volumes = [{"name": f"volume-{number:04}", "size": "1TiB"} for number in range(options.volumes)]
    served = node.Node(volumes)
    print(f"| idle node, {options.volumes} volumes of 1 TiB | found | aim |\n|---|---|---|")
    first = timed_start(served)
    row("first start to ready (creates every volume)", f"{first:.2f} s")
    served.stop()
    again = timed_start(served)
    row("start to ready", f"{again:.2f} s", "at most 3 s", again <= 3)
    served.kill()
    after_crash = timed_start(served)
    row("start to ready after kill -9", f"{after_crash:.2f} s", "at most 3 s", after_crash <= 3)
    time.sleep(2)
    spent, started = served.cpu_seconds(), time.monotonic()
    time.sleep(seconds)
    share = (served.cpu_seconds() - spent) / (time.monotonic() - started)
    memory = served.rss_bytes()
    row("memory", f"{memory / MiB:.1f} MiB", "at most 256 MiB", memory <= 256 * MiB)
    row(f"CPU over {seconds:g} s", f"{share * 100:.2f} % of a core", "under 1 %", share < 0.01)
    row("descriptors, threads", f"{served.fd_count()}, {len(os.listdir(f'/proc/{served.pid}/task'))}")

    print(f"\n| {options.connections} connections at once | found | aim |\n|---|---|---|")
    for listener in ("unix", "tcp"):
        before = served.rss_bytes()
        started = time.monotonic()
        clients = []
        for number in range(options.connections):
            plain = served.connect(listener)
            raw.go(plain, volumes[number % len(volumes)]["name"])
            clients.append(plain)
        opened = time.monotonic() - started
        each = (served.rss_bytes() - before) / options.connections
        row(f"{listener}: memory per idle connection", f"{each / 1024:.1f} KiB", "at most 256 KiB", each <= 256 * 1024)
        row(f"{listener}: opened in", f"{opened:.2f} s")
        started = time.monotonic()
        for number, plain in enumerate(clients):
            plain.sendall(raw.request(raw.READ, number * 4096, 4096, number))
        answered = sum(raw.simple_reply(plain, 4096)[:2] == (0, number) for number, plain in enumerate(clients))
        row(f"{listener}: all of them read 4 KiB", f"{answered} answered in {time.monotonic() - started:.3f} s", "all",
            answered == options.connections)
        each = (served.rss_bytes() - before) / options.connections
        row(f"{listener}: memory per connection after it", f"{each / 1024:.1f} KiB")
        for plain in clients:
            plain.close()
    return served.stop()


if __name__ == "__main__":
    sys.exit(main())
