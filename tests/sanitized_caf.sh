#!/bin/bash
# tests/sanitized_caf.sh FOLDER: builds CAF's core and io libraries from Debian's source with ThreadSanitizer into
# FOLDER, for LD_LIBRARY_PATH of the tsan build's actors_tests. Without it every hand-over of a message looks like a
# race: the sanitizer does not see the synchronisation inside an uninstrumented library. Several minutes, once.
set -euo pipefail
folder=$(mkdir -p "${1:?usage: sanitized_caf.sh FOLDER}" && cd "$1" && pwd)
[ -s "$folder/libcaf_io.so.0.17.6" ] && exit 0
cd "$folder"

# The machine's own sources, asked for source packages, in lists of our own.
mkdir -p apt/lists/partial apt/parts
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
  case $list in
    *.sources) sed 's/^Types:.*/Types: deb-src/' "$list" >"apt/parts/$(basename "$list")" ;;
    *.list|*/sources.list) [ -s "$list" ] && sed -n 's/^deb /deb-src /p' "$list" >"apt/parts/$(basename "$list" .list).list" ;;
  esac
done
apt_source() {
  apt-get -qq -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$folder/apt/parts" \
    -o Dir::State::Lists="$folder/apt/lists" "$@"
}
apt_source update || true # a list that is not there is no matter if the one we need is
apt_source --tar-only --download-only source actor-framework
tar -xzf actor-framework_0.17.6.orig.tar.gz --one-top-level=source --strip-components=1

# Debian's headers are those the tests are compiled with; build_config.hpp is only there.
{
  echo "flags = -std=c++17 -O1 -g1 -fPIC -fsanitize=thread -w -include limits -include stdexcept -include cstdint"
  echo "rule cc"
  echo "  command = $(command -v ccache || true) g++ \$flags -Isource/libcaf_core -Isource/libcaf_io -c \$in -o \$out"
  echo "rule so"
  echo "  command = g++ -shared -fsanitize=thread -Wl,-soname,\$out -o \$out \$in"
  for part in core io; do
    objects=
    while read -r file; do
      object=$part-$(echo "$file" | tr / -).o
      echo "build $object: cc $file"
      objects+=" $object"
    done < <(find "source/libcaf_$part/src" -name '*.cpp' | sort)
    [ $part = io ] && objects+=" libcaf_core.so.0.17.6"
    echo "build libcaf_$part.so.0.17.6: so$objects"
  done
} >build.ninja
ninja -j "$(nproc)" >build.log || { tail -n 30 build.log >&2; exit 1; }
