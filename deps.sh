#!/bin/sh
# Install the Debian packages that are missing; quiet when none is. --dev adds what developing needs.
set -eu
packages="gcc libc6-dev make darknet libstb-dev libcmocka-dev libjansson-dev libdnnl-dev libarchive-dev libseccomp-dev libwebp-dev libmicrohttpd-dev libonnx-dev protobuf-c-compiler libprotobuf-c-dev zlib1g-dev libopenmpi-dev openmpi-bin dataset-fashion-mnist python3 libjs-chart.js gnuplot-nox python3-numpy pkg-config mandoc"
[ "${1:-}" = --dev ] && packages="$packages clang clang-format cppcheck libclang-rt-dev libomp-dev llvm chromium chromium-driver python3-onnx python3-opencv python3-torch python3-scipy python3-sklearn debhelper dh-python lintian"
missing=
for p in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "error: run as root, or install sudo; missing packages:$missing" >&2; exit 1; }
    root=sudo
fi
$root apt-get update -qq
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
