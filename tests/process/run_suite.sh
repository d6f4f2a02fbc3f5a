#!/bin/bash
# run_suite.sh [BIN_DIR] [NAME...] - runs a folder of independent NBD client scripts, GNOMON_SUITE, against a real
# node: on a Unix socket and on TCP, on a buffered and on an O_DIRECT volume. Each script takes an NBD URI of a
# writable export and exits non-zero on failure; names default to all that need nothing but a URI.
#   GARBAGE=N         mutated sessions of 04_rawproto, all four combinations together (default 8000)
#   SUITE_OUT=DIR     keep the scripts' output there (default: a temporary folder, removed when all is well)
#   COMBINATIONS="unix:buffered tcp:direct"   only these
# Exit 0 only if every script passed and the node survived all of them and stopped cleanly.
# shellcheck disable=SC2317,SC2086  # finish() is called by the trap; the unquoted ones are numbers
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${GNOMON_SUITE:?GNOMON_SUITE must name the folder of scripts}"
bin=$(cd "${1:-$here/../../build/release/bin}" && pwd) || exit 2
shift
names=("${@:-01_info 02_copy 03_edge 04_rawproto 05_fio 06_fs 07_qemu_img 08_qemu_io}")
read -r -a names <<<"${names[*]}"
read -r -a combinations <<<"${COMBINATIONS:-unix:buffered unix:direct tcp:buffered tcp:direct}"
work=$(mktemp -d "${GNOMON_TEST_DIR:-/tmp}/gnomon-suite.XXXXXX")
out=${SUITE_OUT:-$work/out}
mkdir -p "$out"
garbage=$((${GARBAGE:-8000} / ${#combinations[@]}))
size=320MiB # no power of two, or one flipped bit of a length makes a trim of everything that is watched
node_pid=
failed=0

stop_node() {
  [ -n "$node_pid" ] || return 0
  kill -TERM "$node_pid" 2>/dev/null
  wait "$node_pid"
  local status=$?
  node_pid=
  return $status
}

# start_node DATA_DIR VOLUME_SIZE CACHE: sets node_pid and, from the ready line, tcp.
start_node() {
  cat >"$work/node.json" <<JSON
{ "node": "suite", "data_dir": "$1", "nbd": { "listen": ["unix:$work/nbd.sock", "127.0.0.1:0"] },
  "volumes": [ { "name": "db", "size": "$2", "cache": "$3" } ] }
JSON
  : >"$work/log"
  "$bin/gnomond" --config "$work/node.json" >>"$work/log" 2>&1 &
  node_pid=$!
  until grep -q '^gnomond ready ' "$work/log"; do
    if ! kill -0 "$node_pid" 2>/dev/null; then
      cat "$work/log"
      return 1
    fi
    sleep 0.05
  done
  tcp=$(sed -n 's/^gnomond ready .*nbd=\([^ ]*\).*/\1/p' "$work/log" | tr , '\n' | grep -v '^unix:' | head -n 1)
}

finish() {
  stop_node
  if [ $failed = 0 ] || [ -n "${SUITE_OUT:-}" ]; then
    rm -rf "$work"
  else
    echo "output kept in $work"
  fi
}
trap finish EXIT

for combination in "${combinations[@]}"; do
  listener=${combination%%:*}
  cache=${combination##*:}
  rm -rf "$work/data"
  start_node "$work/data" $size "$cache" || exit 1
  if [ "$listener" = unix ]; then
    uri="nbd+unix:///db?socket=$work/nbd.sock"
  else
    uri="nbd://$tcp/db"
  fi
  for name in "${names[@]}"; do
    log=$out/$name.$listener.$cache.log
    GARBAGE=$garbage NODE_PID=$node_pid BAR_TMP=$work "$GNOMON_SUITE/$name.sh" "$uri" >"$log" 2>&1
    status=$?
    echo "$listener $cache: $(grep -a '^BAR' "$log" | tail -n 1)"
    if [ $status != 0 ]; then
      failed=1
      grep -a '^FAIL' "$log" || tail -n 5 "$log"
    fi
    if ! kill -0 "$node_pid" 2>/dev/null; then
      echo "$listener $cache: gnomond died during $name"
      tail -n 30 "$work/log"
      failed=1
      node_pid=
      start_node "$work/data" $size "$cache" || exit 1
    fi
  done
  if ! stop_node; then
    echo "$listener $cache: gnomond did not stop cleanly"
    tail -n 30 "$work/log"
    failed=1
  fi
done

# A full disk: the script brings its own small file system ($DATA) and starts and stops the node through these.
if [ -x "$GNOMON_SUITE/15_enospc.sh" ] && [ "$(id -u)" = 0 ] && [ $# = 0 ]; then
  for cache in buffered direct; do
    cat >"$work/start.sh" <<SCRIPT
#!/bin/bash
printf '{ "node": "full", "data_dir": "%s/node", "nbd": { "listen": ["unix:$work/full.sock"] },
  "volumes": [ { "name": "db", "size": "1GiB", "cache": "$cache" } ] }' "\$DATA" >"$work/full.json"
setsid "$bin/gnomond" --config "$work/full.json" >>"$work/full.log" 2>&1 </dev/null &
echo \$! >"$work/full.pid"
SCRIPT
    cat >"$work/stop.sh" <<SCRIPT
#!/bin/bash
pid=\$(cat "$work/full.pid" 2>/dev/null) || exit 0
kill -TERM "\$pid" 2>/dev/null
while kill -0 "\$pid" 2>/dev/null; do sleep 0.05; done
SCRIPT
    chmod +x "$work/start.sh" "$work/stop.sh"
    log=$out/15_enospc.unix.$cache.log
    NODE_START=$work/start.sh NODE_STOP=$work/stop.sh BAR_TMP=$work \
      "$GNOMON_SUITE/15_enospc.sh" "nbd+unix:///db?socket=$work/full.sock" >"$log" 2>&1
    status=$?
    echo "unix $cache: $(grep -a '^BAR' "$log" | tail -n 1)"
    if [ $status != 0 ]; then
      failed=1
      grep -a '^FAIL' "$log" || tail -n 5 "$log"
    fi
  done
fi
exit $failed
