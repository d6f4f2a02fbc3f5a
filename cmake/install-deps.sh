#!/bin/bash
# install-deps.sh [build] [test] [bench] [--list] - installs what Gnomon needs from Debian 12's own packages.
# Only what is missing is installed; when nothing is, apt is not touched at all. No groups: build. --list: print the
# packages of the groups instead. Runs as root, or through sudo without a password; it never asks anything.
# shellcheck disable=SC2034  # the groups are read through a name reference
set -euo pipefail
export LC_ALL=C # sort and comm must agree

# To compile gnomond and gnomon. Boost.Test is here too: a plain configure builds the tests.
build=(
  g++ cmake ninja-build pkg-config ccache mold
  libcaf-dev liburing-dev liblmdb-dev libzstd-dev libxxhash-dev zlib1g-dev libssl-dev libedit-dev libnbd-dev
  libarmadillo-dev libopenblas-dev nlohmann-json3-dev libspdlog-dev libfmt-dev libcli11-dev libboost-dev
  libexpected-dev libboost-test-dev
)
# Independent NBD clients and servers for the process tests, clang for the fuzz targets. nbdfuse is in libnbd-bin.
test=(
  python3 python3-libnbd libnbd-bin nbd-client nbdkit qemu-utils fio jq curl
  e2fsprogs xfsprogs fuse3 mount util-linux procps clang libclang-rt-14-dev
)
# The servers and load generators of tests/bench.
bench=(python3 fio nbdkit qemu-utils libnbd-bin python3-libnbd)

groups=()
list_only=0
for argument in "$@"; do
  case $argument in
    build|test|bench) groups+=("$argument") ;;
    --list) list_only=1 ;;
    *) echo "usage: $0 [build] [test] [bench] [--list]" >&2; exit 2 ;;
  esac
done
[ ${#groups[@]} -gt 0 ] || groups=(build)

packages=()
for group in "${groups[@]}"; do
  declare -n of_group=$group
  packages+=("${of_group[@]}")
  unset -n of_group
done
mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
if [ $list_only = 1 ]; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "install-deps: this is not a Debian system; install the equivalents of: ${packages[*]}" >&2
  exit 1
fi
installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | awk '$1 == "ii" { print $2 }' | sort -u)
mapfile -t missing < <(comm -23 <(printf '%s\n' "${packages[@]}") <(echo "$installed"))
if [ ${#missing[@]} = 0 ]; then
  exit 0
fi

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "install-deps: neither root nor sudo without a password; run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo -n)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3
     -o Dpkg::Options::=--force-confold)
echo "install-deps: installing ${missing[*]}"
"${apt[@]}" update >/dev/null
"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null
