#!/bin/sh
# Which lines of src and plugins `make test` executes: at least PERCENT (90) of them.
set -eu
build=build-coverage
find . -path "./$build/*" -name '*.gcda' -exec rm -f {} +
DARKNET=$PWD/$build/darknet PRELOAD=$PWD/$build/libdarknet-sat.so make -s BUILD=$build OWN=$build/ CFLAGS="-O1 -g --coverage" test
python3 tests/long/coverage.py $build "${1:-90}"
