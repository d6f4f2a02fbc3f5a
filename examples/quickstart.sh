#!/bin/bash
# quickstart.sh - from a fresh Debian 12 to a node that serves volumes, in one command: installs what is missing,
# builds, starts a node in a temporary folder and shows it at work with real clients. Everything but the build is
# removed at the end. --no-install: do not call apt.
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C
export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros,include_file_mtime,include_file_ctime}

bold=
plain=
if [ -t 1 ]; then
  bold=$(tput bold 2>/dev/null || true)
  plain=$(tput sgr0 2>/dev/null || true)
fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
# run COMMAND...: says what it runs, as one would type it, then runs it.
run() {
  printf '%s$ %s%s\n' "$bold" "${*//"$work"/\$DIR}" "$plain"
  "$@"
}

if [ "${1:-}" != --no-install ]; then
  cmake/install-deps.sh build bench
fi
title "Build (release)"
mkdir -p build
log=build/quickstart.log
if ! { cmake --preset release && cmake --build build/release -j "$(nproc)" --target gnomond gnomon; } >"$log" 2>&1; then
  tail -n 40 "$log"
  echo "the build failed; all of its output is in $log" >&2
  exit 1
fi
echo "built in $SECONDS s"

work=$(mktemp -d /tmp/gnomon-quickstart.XXXXXX)
node_pid=
finish() {
  if [ -n "$node_pid" ]; then
    kill -TERM "$node_pid" 2>/dev/null || true
    wait "$node_pid" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
started=$SECONDS
export PATH=$PWD/build/release/bin:$PATH
config=$work/node.json
sed "s|/tmp/gnomon-quickstart|$work|g" examples/quickstart.json >"$config"
gnomon() { command gnomon --config "$config" "$@"; }

# start_node: runs gnomond and waits for its ready line; sets node_pid and admin.
start_node() {
  printf '%s$ gnomond --config $DIR/node.json &%s\n' "$bold" "$plain"
  : >"$work/log"
  gnomond --config "$config" >>"$work/log" 2>&1 &
  node_pid=$!
  until grep -q '^gnomond ready ' "$work/log"; do
    if ! kill -0 "$node_pid" 2>/dev/null; then
      cat "$work/log" >&2
      exit 1
    fi
    sleep 0.02
  done
  grep '^gnomond ready ' "$work/log" | sed "s|$work|\$DIR|g"
  admin=$(sed -n 's/^gnomond ready .*admin=\([^ ]*\).*/\1/p' "$work/log")
}
uri() { echo "nbd+unix:///$1?socket=$work/nbd.sock"; }

title "A node, described by one JSON file"
cat examples/quickstart.json
run gnomon check "$config"
start_node

title "Any NBD client can use its volumes"
run nbdinfo --list "nbd+unix:///?socket=$work/nbd.sock" | grep -E 'export=|description|export-size|can_(multi_conn|fua|trim|fast_zero)' 
mkfs=$(PATH=$PATH:/usr/sbin:/sbin command -v mkfs.ext4 || true)
truncate -s 128M "$work/image"
if [ -n "$mkfs" ]; then
  "$mkfs" -q -F -d config "$work/image" # Gnomon's own sources, as a file system
fi
run nbdcopy --flush "$work/image" "$(uri files)"
before=$(sha256sum <"$work/image")
run nbdcopy "$(uri files)" "$work/back"
if [ "$(sha256sum <"$work/back")" = "$before" ]; then
  echo "copied in and out again: identical (${before:0:16}…)"
else
  echo "the copy differs" >&2
  exit 1
fi
run nbdinfo --map --totals "$(uri files)"

title "Load: 4 KiB random reads and writes, queue depth 32, every block verified"
(cd "$work" && fio --name=mixed --ioengine=nbd "--uri=$(uri bench)" --rw=randrw --bs=4k --iodepth=32 --size=256m \
  --time_based --runtime=6 >"$work/fio.txt") &
fio_pid=$!
(cd "$work" && fio --name=verify --ioengine=nbd "--uri=$(uri vault)" --rw=randwrite --bs=4k --iodepth=32 --size=32m \
  --verify=crc32c --do_verify=1 --verify_fatal=1 --verify_state_save=0 >"$work/verify.txt") &
verify_pid=$!
sleep 3
run gnomon top --once
wait "$fio_pid"
wait "$verify_pid"
grep -E '^ *(read|write):' "$work/fio.txt"
echo "and 32 MiB written to the O_DIRECT volume read back as written"

title "A recorded trace, replayed at full speed"
trace=examples/oltp.csv.gz
run gnomon replay "$trace" --volume bench --speed max --verify

title "What it has learned: chunk over time, who touches what, what will be hot next"
LC_ALL=C.UTF-8 run gnomon heat bench
run gnomon instance ls

title "A past from elsewhere: two weeks of counters (made up here) become its history, and the next day is forecast"
# Slots of five minutes: busy by day, half as busy at weekends, a backup every night at two, noise.
awk 'BEGIN {
  srand(7); print "time_us,volume,reads,writes,read_bytes,write_bytes"
  for (slot = 0; slot < 4032; ++slot) {
    hour = slot / 12 % 24; day = int(slot / 288)
    load = (400 + 350 * sin((hour - 8) * 0.2618)) * (day % 7 > 4 ? 0.5 : 1) * (0.9 + 0.2 * rand())
    if (hour >= 2 && hour < 2.5) load += 2500
    printf "%.0f,elsewhere,%d,%d,%d,%d\n", slot * 3e8, load * 300, load * 60, load * 300 * 8192, load * 60 * 4096
  }
}' >"$work/fortnight.csv"
run gnomon history import "$work/fortnight.csv" --volume files --end-at now
LC_ALL=C.UTF-8 run gnomon forecast files

title "What the node says about itself"
run gnomon status
run gnomon actors

title "kill -9, restart, and nothing is lost"
kill -9 "$node_pid"
wait "$node_pid" 2>/dev/null || true
node_pid=
start_node
rm "$work/back"
nbdcopy "$(uri files)" "$work/back"
if [ "$(sha256sum <"$work/back")" = "$before" ]; then
  echo "every byte is there (${before:0:16}…)"
else
  echo "data changed across the crash" >&2
  exit 1
fi

title "For the monitoring: http://$admin/metrics"
/usr/bin/python3 -c 'import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1]).read().decode())' \
  "http://$admin/metrics" | grep -E '^gnomon_(volume_requests_total|volume_connections|ring_buffer_bytes|healthy)' | head -n 14

title "Stop"
kill -TERM "$node_pid"
wait "$node_pid"
node_pid=
echo "stopped cleanly; that was $((SECONDS - started)) s after the build."
echo "Try it yourself: build/release/bin/gnomond --config examples/node.json, after a look at its paths."
