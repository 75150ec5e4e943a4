#!/usr/bin/env bash
# Times `hull image pull` against `skopeo copy`, from a registry on this
# machine, and against writing the same bytes with dd.
#
#   build/bench-pull.sh [MB_A_LAYER] [LAYERS]
#
# The three take turns, each into an empty folder; the best of five counts.
set -euo pipefail

size=${1:-128}
layers=${2:-4}
hull=${HULL:-out/bin/hull}
rounds=5

dir=$(mktemp -d "${TMPDIR:-/tmp}/bench-pull.XXXXXX")
trap 'kill "$registry" 2>/dev/null || true; rm -rf "$dir"' EXIT

printf '%s\n' 'version: 0.1' "storage: {filesystem: {rootdirectory: '$dir/registry'}}" \
    "http: {addr: '127.0.0.1:0'}" 'log: {level: info, accesslog: {disabled: true}}' >"$dir/config.yml"
exec {log}< <(exec docker-registry serve "$dir/config.yml" 2>&1 >/dev/null)
registry=$!
host=
while [ -z "$host" ] && IFS= read -ru "$log" line; do
    host=$(sed -n 's/.*listening on \([0-9.:]*\).*/\1/p' <<<"$line")
done
[ -n "$host" ] || { echo "build/bench-pull.sh: the registry does not listen" >&2; exit 1; }
# What it says from now on has to go somewhere.
cat <&"$log" >/dev/null &

# What `docker save` would write: layers that do not compress.
mkdir "$dir/image"
diff_ids= names=
for ((i = 0; i < layers; i++)); do
    head -c "${size}M" /dev/urandom >"$dir/file$i"
    tar --format=gnu --owner=0 --group=0 --mtime=@0 -C "$dir" -cf "$dir/image/$i.tar" "file$i"
    rm "$dir/file$i"
    diff_ids+="${diff_ids:+,}\"sha256:$(sha256sum "$dir/image/$i.tar" | cut -d' ' -f1)\""
    names+="${names:+,}\"$i.tar\""
done
echo "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[$diff_ids]}}" >"$dir/image/config.json"
echo "[{\"Config\":\"config.json\",\"Layers\":[$names]}]" >"$dir/image/manifest.json"
tar -C "$dir/image" -cf "$dir/image.tar" .
rm -r "$dir/image"
image=$host/bench:1
"$hull" --store "$dir/store" image import --arch amd64 "$image" "docker-archive:$dir/image.tar" >/dev/null
"$hull" --quiet --store "$dir/store" image push "$image" >/dev/null
rm -r "$dir/store" "$dir/image.tar"

# $1: whose turn it is; the rest is timed, in ms, into best[$1].
declare -A best=()
turn() {
    local who=$1 start end
    shift
    sync
    start=$(date +%s%N)
    "$@" >/dev/null 2>&1
    sync "$dir"
    end=$((($(date +%s%N) - start) / 1000000))
    [ "${best[$who]:-999999999}" -le "$end" ] || best[$who]=$end
    rm -rf "$dir/out"
}
for ((i = 0; i < rounds; i++)); do
    turn hull "$hull" --quiet --store "$dir/out" image pull --arch amd64 "$image"
    mkdir "$dir/out"
    turn skopeo skopeo --insecure-policy copy --src-tls-verify=false "docker://$image" "oci:$dir/out:1"
    turn dd dd if=/dev/zero of="$dir/out" bs=1M count=$((size * layers)) conv=fdatasync
done

total=$((size * layers))
for who in hull skopeo dd; do
    printf '%-7s %6d ms  %5d MB/s\n' "$who" "${best[$who]}" $((total * 1000 / (best[$who] + 1)))
done
awk -v h="${best[hull]}" -v s="${best[skopeo]}" 'BEGIN { printf "hull / skopeo: %.2f\n", h / s }'
