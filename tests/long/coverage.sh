#!/bin/sh
# Which lines of src and plugins `make test` executes: at least PERCENT (90) of them. Whether the tests pass is not asked: the files that the
# instrumented program writes at its end are in the way of tests of limits.
set -eu
build=build-coverage
DARKNET=$PWD/$build/darknet PRELOAD=$PWD/$build/libdarknet-sat.so
export DARKNET PRELOAD
make="make -s BUILD=$build OWN=$build/"
$make CFLAGS="-O1 -g --coverage" all
find $build -name '*.gcda' -exec rm -f {} +
$make CFLAGS="-O1 -g --coverage" test >$build/test.log 2>&1 || true
python3 tests/long/coverage.py $build "${1:-90}"
