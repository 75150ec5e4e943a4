#!/usr/bin/env bash
# Times `hull build`, and what memory it takes: examples/minimal.yml for the
# first time, again, and after a change; and how both grow with an image.
#
#   build/bench-build.sh [MB…]
#
# Prints Markdown tables: seconds on the clock and of processors, the best of
# some runs, and the largest resident set. MB are sizes of an image of random
# bytes in files of 1 MB [default: 10 100 2000].
set -euo pipefail

hull=$(realpath "${HULL:-out/bin/hull}")
export HULL_GUEST=${HULL_GUEST:-$PWD/out/guest} HULL_STORE=${HULL_STORE:-$PWD/out/store} HULL_OFFLINE=1
sizes=("$@")
[ ${#sizes[@]} -gt 0 ] || sizes=(10 100 2000)

dir=$(mktemp -d "${TMPDIR:-/tmp}/bench-build.XXXXXX")
trap 'rm -rf "$dir"' EXIT

# The blobs of the real store, and a cache of this run's own.
mkdir "$dir/store"
cp -al "$HULL_STORE"/{blobs,index.json,oci-layout} "$dir/store/" 2>/dev/null ||
    cp -a "$HULL_STORE"/{blobs,index.json,oci-layout} "$dir/store/"
export HULL_STORE=$dir/store
cp -rL "$HULL_GUEST" "$dir/guest"
export HULL_GUEST=$dir/guest

# $1: rounds; $2: what is done before each (a function, or :); the rest is a
# build. Sets wall, cpu (seconds) and rss (MB): the least of each time, the
# most memory.
measure() {
    local rounds=$1 before=$2 round w u s m
    shift 2
    wall=999999 cpu=999999 rss=0
    for ((round = 0; round < rounds; round++)); do
        "$before"
        /usr/bin/time -o "$dir/time" -f '%e %U %S %M' "$hull" build --dir "$dir/out" "$@" >"$dir/said" 2>&1 || {
            cat "$dir/said" >&2
            return 1
        }
        read -r w u s m <"$dir/time"
        read -r wall cpu rss < <(awk -v w="$w" -v c="$u" -v s="$s" -v m="$m" -v wall="$wall" -v cpu="$cpu" -v rss="$rss" \
            'BEGIN { c += s; m /= 1000; printf "%.2f %.2f %.0f\n", (w < wall ? w : wall), (c < cpu ? c : cpu), (m > rss ? m : rss) }')
    done
}

forget() { rm -rf "$HULL_STORE/cache"; }
setting() { date +%s%N >"$dir/motd"; }
program() { date +%s%N >>"$dir/guest/$(uname -m)/init"; }

cat >"$dir/motd.yml" <<END
files:
  - {path: etc/motd, source: $dir/motd}
END
date >"$dir/motd"
minimal=(examples/minimal.yml "$dir/motd.yml" --name minimal)

echo "| examples/minimal.yml, kernel+initrd | s | processor s | RSS, MB |"
echo "| --- | --- | --- | --- |"
measure 3 forget "${minimal[@]}"
echo "| for the first time | $wall | $cpu | $rss |"
measure 10 : "${minimal[@]}"
echo "| again (aim: 0.25 s, 60 MB) | $wall | $cpu | $rss |"
again=$cpu
measure 10 setting "${minimal[@]}"
echo "| after a change of a setting (aim: 0.4 s) | $wall | $cpu | $rss |"
measure 5 program "${minimal[@]}"
echo "| after a change of /init (aim: 0.4 s) | $wall | $cpu | $rss |"
echo
awk -v a="$again" -v p="$cpu" 'BEGIN { printf "after a change of /init / again: %.1f\n\n", p / (a + 0.001) }'

echo "| image, MB | first: s | processor s | RSS, MB | again: s | processor s | RSS, MB | after a change: processor s |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- |"
for size in "${sizes[@]}"; do
    mkdir -p "$dir/image"
    head -c "${size}M" /dev/urandom | split -a 4 -b 1M - "$dir/image/f"
    tar --format=gnu --owner=0 --group=0 --mtime=@0 -C "$dir/image" -cf "$dir/layer.tar" .
    diff_id=$(sha256sum "$dir/layer.tar" | cut -d' ' -f1)
    rm -r "$dir/image"
    gzip -1 "$dir/layer.tar"
    mkdir "$dir/archive"
    mv "$dir/layer.tar.gz" "$dir/archive/layer.tar"
    arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
    echo "{\"architecture\":\"$arch\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$diff_id\"]}}" >"$dir/archive/config.json"
    echo '[{"Config":"config.json","Layers":["layer.tar"]}]' >"$dir/archive/manifest.json"
    tar -C "$dir/archive" -cf "$dir/archive.tar" .
    rm -r "$dir/archive"
    "$hull" image import bench:$size "docker-archive:$dir/archive.tar" >/dev/null
    rm "$dir/archive.tar"
    printf 'kernel: {image: "hullkit/kernel:6.12"}\nservices: [{name: big, image: "bench:%s", command: [/x]}]\n' "$size" >"$dir/big.yml"
    big=("$dir/big.yml" "$dir/motd.yml" --name big)
    measure 1 forget "${big[@]}"
    row="| $size | $wall | $cpu | $rss "
    measure 2 : "${big[@]}"
    row+="| $wall | $cpu | $rss "
    measure 2 setting "${big[@]}"
    echo "$row| $cpu |"
    "$hull" image rm bench:$size >/dev/null
    forget
done
