#!/bin/bash
# tests/run.sh - installs what is missing, builds, and runs the tests on a plain Debian 12. The last line is
# "N passed, N failed", counted from CTest's own reports; the exit code is 0 only if nothing failed.
#
#   --preset NAME   build to test first (default: release)
#   --only LABEL    only CTest label LABEL (unit, process, bench, fuzz, asan, tsan, or a folder's name)
#   --long          the long campaigns too: kill -9 storms of 100 rounds, 10 minutes per fuzz target, 10,000s of abrupt
#                   disconnects, and, where GNOMON_SUITE names a folder of independent client scripts, a million
#                   mutated sessions. Hours.
#   --no-install    do not call apt
#
# Three builds: the preset runs the process tests, the benchmarks' checks and forecasting, whose figures depend on the
# optimizer; `asan` runs all unit suites and, for a few seconds each, the fuzz targets; `tsan` the suites with threads.
# --long and --only leave nothing out. The process tests mostly wait, so they run while `asan` is built. build/PRESET is
# kept, so a second run only builds what changed. The actors' suites under ThreadSanitizer need a CAF that is built with
# it too (tests/sanitized_caf.sh): --long.
# shellcheck disable=SC2317,SC2086  # finish() is called by the trap; the unquoted ones are numbers
# GNOMON_CASES names a folder of independent case programs, each of which starts nodes of its own; they run against the
# preset's build. Without it none run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

preset=release
only=
long=0
install=1
while [ $# -gt 0 ]; do
  case $1 in
    --preset) preset=${2:?--preset wants a name}; shift 2 ;;
    --only) only=${2:?--only wants a label}; shift 2 ;;
    --long) long=1; shift ;;
    --no-install) install=0; shift ;;
    *) sed -n '2,18s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done

jobs=$(nproc)
export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros,include_file_mtime,include_file_ctime}
export GNOMON_LONG=$long
passed=0
failed=0
skipped=()
failures=()
meanwhile= # pid of the CTest that runs the process tests, while it does

say() { printf '\n== %s (%d s so far)\n' "$*" "$SECONDS"; }

# The closing line is printed whatever happens before it, also when a build breaks or somebody presses Ctrl-C.
finish() {
  local status=$?
  trap - EXIT
  if [ -n "$meanwhile" ]; then
    kill "$meanwhile" 2>/dev/null
  fi
  if [ ${#skipped[@]} -gt 0 ]; then
    echo
    echo "skipped (a tool or right is missing here; neither passed nor failed):"
    printf '  %s\n' "${skipped[@]}"
  fi
  if [ ${#failures[@]} -gt 0 ]; then
    echo
    echo "failed:"
    printf '  %s\n' "${failures[@]}"
  fi
  if [ $status != 0 ] && [ $failed = 0 ]; then
    failed=1 # stopped before anything could be counted
  fi
  echo
  echo "took $SECONDS s"
  echo "$passed passed, $failed failed"
  if [ $failed = 0 ] && [ $passed -gt 0 ]; then
    exit 0
  fi
  exit 1
}
trap finish EXIT
trap 'exit 130' INT TERM

step_failed() {
  failed=$((failed + 1))
  failures+=("$1")
}

# build PRESET [targets...]
build() {
  local name=$1
  shift
  say "build $name"
  if ! cmake --preset "$name" >"build/$name.configure.log" 2>&1; then
    tail -n 30 "build/$name.configure.log"
    step_failed "configure $name"
    return 1
  fi
  if ! cmake --build "build/$name" -j "$jobs" ${1:+--target "$@"} >"build/$name.build.log" 2>&1; then
    grep -E -A5 'error|FAILED' "build/$name.build.log" | head -n 60
    step_failed "build $name"
    return 1
  fi
}

# run_ctest PRESET [ctest arguments...]: runs, then adds up what CTest wrote down.
run_ctest() {
  local name=$1 report
  shift
  report=$PWD/build/$name/report-$RANDOM.xml
  say "ctest $name $*"
  ctest --test-dir "build/$name" --output-on-failure --no-tests=error -j "$jobs" --output-junit "$report" "$@"
  count "$report" $? "$name" "$*"
}

# count REPORT STATUS PRESET ARGUMENTS: adds a report of CTest to the totals.
count() {
  local report=$1 status=$2 name=$3 arguments=$4
  if [ ! -s "$report" ]; then
    step_failed "ctest $name $arguments gave no report"
    return
  fi
  local verdict test
  while read -r verdict test; do
    case $verdict in
      passed) passed=$((passed + 1)) ;;
      skipped) skipped+=("$name: $test") ;;
      *) step_failed "$name: $test" ;;
    esac
  done < <(/usr/bin/python3 - "$report" <<'PYTHON'
import sys
from xml.etree import ElementTree

# Skipped is only what said so itself with its skip code; a test whose executable is missing has failed.
for case in ElementTree.parse(sys.argv[1]).iter("testcase"):
    skipped = case.find("skipped")
    if case.get("status") == "run":
        verdict = "passed"
    elif skipped is not None and skipped.get("message", "").startswith("SKIP_RETURN_CODE"):
        verdict = "skipped"
    else:
        verdict = "failed"
    print(verdict, case.get("name"))
PYTHON
  )
  rm -f "$report"
  if [ $status != 0 ] && [ ${#failures[@]} = 0 ]; then
    step_failed "ctest $name $arguments exited with $status"
  fi
}

# run_cases PRESET: each program says by its status whether it passed (0), failed (1) or cannot run here (2). They mostly
# wait, so a few run at once.
run_cases() {
  local name=$1 folder=${GNOMON_CASES:-} out status case
  [ -n "$folder" ] || return 0
  out=$PWD/build/$name/cases
  rm -rf "$out"
  mkdir -p "$out"
  say "cases $name"
  export GNOMON_BIN=$PWD/build/$name/bin
  # shellcheck disable=SC2016
  find "$folder" -maxdepth 1 -name '[0-9]*_*.py' | sort | OUT=$out xargs -P 3 -I{} bash -c \
    'name=$(basename "{}" .py); timeout -k 30 300 "{}" >"$OUT/$name.log" 2>&1; echo $? >"$OUT/$name.status"'
  for status in "$out"/*.status; do
    case=$(basename "$status" .status)
    grep -a "^CASE $case " "$out/$case.log" | tail -n 1
    case $(cat "$status") in
      0) passed=$((passed + 1)) ;;
      2) skipped+=("$name: case $case") ;;
      *) step_failed "$name: case $case (build/$name/cases/$case.log)" ;;
    esac
  done
}

wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }

mkdir -p build
if [ $install = 1 ]; then
  say "dependencies"
  if ! cmake/install-deps.sh build test; then
    step_failed "install dependencies"
    exit 1
  fi
fi

if [ -z "$only" ] && [ $long = 0 ]; then
  if build "$preset" gnomond gnomon examples benchmarks forecasting_tests; then
    run_ctest "$preset" -LE '^(process|config|io|store|actors)$'
    say "ctest $preset -L ^process$ begins; its output comes after the build of asan"
    meanwhile_report=$PWD/build/$preset/report-$RANDOM.xml
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --output-junit "$meanwhile_report" \
      -L '^process$' >"build/$preset.process.log" 2>&1 &
    meanwhile=$!
  fi
elif [[ ! $only =~ ^(asan|tsan|fuzz)$ ]]; then
  build "$preset" && run_ctest "$preset" ${only:+-L "^$only\$"}
fi

# Sanitizers run the unit suites.
asan_built=0
if { wanted asan || wanted fuzz; } && build asan unit_tests fuzz_targets; then
  asan_built=1
fi
if [ -n "$meanwhile" ]; then
  wait "$meanwhile"
  status=$?
  meanwhile=
  cat "build/$preset.process.log"
  count "$meanwhile_report" $status "$preset" "-L ^process$"
fi
if { [ -z "$only" ] || [ "$only" = process ]; } && [ -x "build/$preset/bin/gnomond" ]; then
  run_cases "$preset"
fi
if [ $asan_built = 1 ] && wanted asan; then
  run_ctest asan -L '^asan$'
fi
if [ $asan_built = 1 ] && wanted fuzz; then
  run_ctest asan -L '^fuzz$'
fi
if wanted tsan && build tsan io_tests store_tests; then
  run_ctest tsan -L '^tsan$' -R '^(io|store)/'
fi
if wanted tsan && [ $long = 1 ]; then
  say "CAF with ThreadSanitizer"
  if tests/sanitized_caf.sh build/tsan-caf && build tsan actors_tests config_tests forecasting_tests; then
    LD_LIBRARY_PATH=$PWD/build/tsan-caf run_ctest tsan -L '^tsan$' -R '^(actors|config|forecasting)/'
  else
    step_failed "CAF with ThreadSanitizer"
  fi
fi
if [ $asan_built = 1 ] && wanted fuzz && [ $long = 1 ]; then
  for target in build/asan/tests/fuzz/*_fuzz; do
    name=$(basename "$target")
    say "fuzz $name for ${GNOMON_FUZZ_SECONDS:-600} s"
    if "$target" -max_total_time="${GNOMON_FUZZ_SECONDS:-600}" -timeout=20 -print_final_stats=1 \
        -artifact_prefix="build/asan/$name-" "build/asan/tests/fuzz/corpus/$name" >"build/asan/$name.log" 2>&1; then
      passed=$((passed + 1))
      tail -n 8 "build/asan/$name.log"
    else
      tail -n 40 "build/asan/$name.log"
      step_failed "fuzz: $name (input kept as build/asan/$name-*)"
    fi
  done
fi

if [ $long = 1 ] && [ -n "${GNOMON_SUITE:-}" ]; then
  say "independent suite, 1,000,000 mutated sessions"
  if GARBAGE=1000000 tests/process/run_suite.sh "build/$preset/bin"; then
    passed=$((passed + 1))
  else
    step_failed "independent suite"
  fi
fi
exit 0
