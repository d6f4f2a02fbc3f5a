#!/bin/bash
# near.sh - two nodes, 2 ms apart, and a planner that brings the data near: `db` has its home on alpha, its reader is at
# beta. The distance is made by a proxy between the nodes (delay_proxy.py). A past is imported at beta; its chunks are
# there before anybody reads them. Wants a release build and python3-libnbd; all it writes goes into a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C PATH=${GNOMON_BIN_DIR:-$PWD/build/release/bin}:$PATH
python=/usr/bin/python3
work=$(mktemp -d /tmp/gnomon-near.XXXXXX)
pids=()
finish() {
  for pid in "${pids[@]}"; do
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Ports that nobody listens on now: of each node, and where the other one reaches it through the proxy.
read -r alpha alpha_data beta beta_data far_alpha far_alpha_data far_beta far_beta_data < <($python - <<'PY'
import socket
all = [socket.socket() for _ in range(8)]
for one in all:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in all))
PY
)
(umask 077 && head -c 32 /dev/urandom | base64 >"$work/secret")
# config NAME LISTEN DATA PEER PEER_ADDRESS PEER_DATA VOLUMES
config() {
  mkdir -p "$work/$1-stage"
  cat >"$work/$1.json" <<JSON
{ "node": "$1", "data_dir": "$work/$1", "nbd": { "listen": ["unix:$work/$1.sock"] },
  "cluster": { "listen": "127.0.0.1:$2", "data_listen": "127.0.0.1:$3", "secret_file": "$work/secret",
               "peers": [ { "node": "$4", "address": "127.0.0.1:$5", "data_address": "127.0.0.1:$6" } ] },
  "stage": { "path": "$work/$1-stage", "capacity": "256MiB" },
  "planner": { "mode": "act", "every": "1s", "horizon": "2m", "stay_min": "10s", "demand_half_life": "10s" },
  "volumes": [ $7 ] }
JSON
}
config alpha "$alpha" "$alpha_data" beta "$far_beta" "$far_beta_data" '{ "name": "db", "size": "512MiB", "shared": true }, { "name": "other", "size": "64MiB", "shared": true }'
config beta "$beta" "$beta_data" alpha "$far_alpha" "$far_alpha_data" ''
$python -B examples/delay_proxy.py 1 "$far_alpha:$alpha" "$far_alpha_data:$alpha_data" "$far_beta:$beta" \
  "$far_beta_data:$beta_data" &
pids+=($!)
for node in alpha beta; do
  gnomond --config "$work/$node.json" >"$work/$node.log" 2>&1 &
  pids+=($!)
  until grep -qs '^gnomond ready ' "$work/$node.log"; do sleep 0.05; done
done
beta() { gnomon --config "$work/beta.json" "$@"; }
title() { printf '\n== %s\n' "$*"; }
# reads VOLUME WORDS: mean latency of 200 reads of 4 KiB in the first 64 MiB, one after the other, through beta.
reads() {
  $python - "$work/beta.sock" "$1" "$2" <<'PY'
import nbd, random, sys, time
h = nbd.NBD()
h.connect_uri(f"nbd+unix:///{sys.argv[2]}@instance:web-1?socket={sys.argv[1]}")
began = time.perf_counter()
for _ in range(200):
    h.pread(4096, random.randrange(64 << 8) * 4096)
print(f"{sys.argv[3]}: {(time.perf_counter() - began) * 5:.3f} ms a read")
PY
}
for volume in db other; do
  until beta heat "$volume" >"$work/heat" 2>&1; do sleep 0.1; done
done

title "Two nodes, 2 ms apart"
beta node ls
title "A past is imported at beta: every morning the first 64 MiB are read"
$python - "$work/past.csv" <<'PY'
import random, sys
rng = random.Random(1)
with open(sys.argv[1], "w") as out:
    out.write("time_us,volume,op,offset_bytes,length_bytes\n")
    for second in range(0, 3 * 3600):
        for i in range(6):
            out.write(f"{second * 1000000 + i},db,R,{rng.randrange(1024) * 65536},65536\n")
PY
reads other "far (of another volume, of which nothing is near yet)"
beta history import "$work/past.csv" --volume db --end-at now
for _ in $(seq 600); do
  if [ "$(beta --json shadow show db | $python -c 'import json,sys; print(json.load(sys.stdin)[0]["valid_bytes"])')" -ge $((64 << 20)) ]; then break; fi
  sleep 0.1
done
title "The planner has brought it near"
beta plan
reads db "near, from the first read on"
title "Why, and who answered"
beta why db | head -n 4
beta shadow show db
