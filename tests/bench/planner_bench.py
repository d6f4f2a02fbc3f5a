#!/usr/bin/python3
"""What the planner is worth: mean latency of a reader at beta of a volume homed on alpha, 2 ms away (a proxy delays each
direction by 1 ms), with planner.mode act against off, in turns. The reader goes through a hot set that changes at each
round, as a recurring job does: what is read again comes near, what is left behind goes. Prints both means, the share of
reads near, and the bytes that were copied. GNOMON_BENCH_SECONDS: of one round (default 12)."""
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cluster"))
import nodes  # noqa: E402
import node  # noqa: E402,F401
from suite import need_nbd  # noqa: E402

nbd = need_nbd()
CHUNK, SECONDS, ROUNDS = 16 << 20, float(os.environ.get("GNOMON_BENCH_SECONDS", "12")), 3


def run(mode):
    both = nodes.cluster({"alpha": [{"name": "db", "size": "512MiB", "shared": True}], "beta": []}, delay_ms=1, lease="5s",
                         redirect="predicted", stage="128MiB",
                         sections={"planner": {"mode": mode, "every": "500ms", "horizon": "2m", "stay_min": "2s",
                                               "demand_half_life": "5s", "copy_rate": "64MiB"}})
    for one in both.values():
        one.start()
    nodes.wait_for_sessions(both)
    beta = both["beta"]
    nodes.wait_for_volume(beta, "db")
    writer = nbd.NBD()
    writer.connect_uri(both["alpha"].uri("db"))
    for at in range(0, 512 << 20, 32 << 20):
        writer.pwrite(os.urandom(1 << 20) * 32, at)
    reader = nbd.NBD()
    reader.connect_uri(beta.uri("db"))
    rng = random.Random(7)
    reads, busy = 0, 0.0
    for number in range(ROUNDS):
        hot = [(number % 2) * 8 + c for c in range(4)] # 64 MiB; every other round has the same
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            chunk = rng.choice(hot) if rng.random() < 0.9 else rng.randrange(32)
            offset = chunk * CHUNK + rng.randrange(CHUNK // 4096) * 4096
            began = time.perf_counter()
            reader.pread(4096, offset)
            busy += time.perf_counter() - began
            reads += 1
    seen = nodes.shadow(beta, "db")
    plan = json.loads(beta.cli("--json", "plan").stdout)
    for one in both.values():
        one.stop()
    return {"mode": mode, "mean_ms": 1e3 * busy / reads, "near": seen["near"] / max(1, seen["near"] + seen["far"]),
            "reasons": seen["far_by_reason"], "executed": plan["executed"],
            "copied_mib": sum(p["copied_bytes"] for p in plan["placed"]) / (1 << 20)}


def main():
    results = {mode: run(mode) for mode in ("off", "act")}
    for one in results.values():
        print(f"planner {one['mode']:<4} mean read {one['mean_ms']:6.3f} ms, {100 * one['near']:5.1f} % near, "
              f"{one['copied_mib']:6.1f} MiB held, {one['executed']} executions, home: {one['reasons']}")
    print(f"act / off: {results['act']['mean_ms'] / results['off']['mean_ms']:.2f}x (aim 0.70)")


if __name__ == "__main__":
    main()
