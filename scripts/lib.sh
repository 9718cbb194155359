# shellcheck shell=bash
# What the scripts share. Sourced, with the workspace root as working directory.

# SVT-AV1 says errors only.
export SVT_LOG=1
# Programs find it beside themselves only where they lie in this workspace.
export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$PWD/.onnxruntime/libonnxruntime.so}

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "${0##*/}: $*"
    exit 2
}
# Runs a command after showing it.
run() {
    printf '+' >&2
    printf ' %q' "$@" >&2
    printf '\n' >&2
    "$@"
}
# Where cargo is told to build: CARGO_TARGET_DIR, build.target-dir, by default target.
target_directory() {
    local metadata
    metadata=$(cargo metadata --locked --no-deps --format-version 1) || fail "cargo does not say where it builds"
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p' <<<"$metadata"
}
# built NAME: the path of a release program, or of examples/NAME.
built() { echo "$(target_directory)/release/$1"; }
# number FILE KEY: the value of a top-level key of a JSON file that this project wrote (one key a line, two spaces in).
number() { sed -n "s/^  \"$2\": \(.*[^,]\),\{0,1\}\$/\1/p" "$1"; }
# calculate EXPRESSION [NAME=VALUE]...: awk arithmetic; a comparison gives 1 or 0.
calculate() {
    local expression=$1 pair options=()
    shift
    for pair in "$@"; do options+=(-v "$pair"); done
    awk "${options[@]}" "BEGIN { print ($expression) }"
}

# encode CLIP OUT.mkv SIZE CODEC...: SIZE is `full`, or COLUMNSxROWS to reduce to (Lanczos). One key frame: no clip here is
# longer than 240 frames.
encode() {
    local clip=$1 out=$2 scale=()
    [ "$3" = full ] || scale=(-vf "scale=${3/x/:}:flags=lanczos")
    run ffmpeg -nostdin -v error -y -i "$clip" "${scale[@]}" -c:v "${@:4}" -g 240 -pix_fmt yuv420p "$out"
}
# frames CLIP.mkv OUT.raw SIZE: the frames of an encode at SIZE. What was reduced is first enlarged to 1164x874 (bicubic, on
# the Y, U and V planes) and kept losslessly as H.264, so that all frames become RGB in the same way, that of `hnerv frames`.
frames() {
    local clip=$1
    if [ "$3" != full ]; then
        clip=${2%.raw}-full.mkv
        run ffmpeg -nostdin -v error -y -i "$1" -vf scale=1164:874:flags=bicubic -c:v libx264 -qp 0 -preset ultrafast \
            -pix_fmt yuv420p "$clip"
    fi
    run "$(built hnerv)" frames "$clip" "$2" >&2
    [ "$3" = full ] || rm "$clip"
}
