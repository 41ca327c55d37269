#!/bin/sh
# The Debian packages: built, lintian without errors, and debian/tests with what is in them, unpacked.
. tests/cli/lib.sh
for tool in dpkg-buildpackage dh dh_python3 lintian; do
    command -v $tool >/dev/null || {
        skip "Debian packages" "no $tool"
        exit 0
    }
done
mkdir "$T/source" "$T/root" "$T/work"
git ls-files | tar cf - -T - | tar xf - -C "$T/source"

begin "dpkg-buildpackage makes four packages"
run sh -c "cd '$T/source' && DEB_BUILD_OPTIONS=noautodbgsym dpkg-buildpackage -us -uc -b"
expect_status 0
[ "$(ls "$T"/*.deb | wc -l)" -eq 4 ] || complain "$(ls "$T"/*.deb)"
end

begin "lintian finds no error"
run lintian --allow-root --fail-on error "$T"/*.changes
expect_status 0
end

begin "unpacked they train, reject, and answer the same in C and Python"
for package in "$T"/*.deb; do
    dpkg-deb -x "$package" "$T/root"
done
library=$(dirname "$T"/root/usr/lib/*/libdarknet_sat.so.1)
run env PATH="$T/root/usr/bin:/usr/bin:/bin" LD_LIBRARY_PATH="$library" PYTHONPATH="$T/root/usr/lib/python3/dist-packages" \
    PKG_CONFIG_SYSROOT_DIR="$T/root" PKG_CONFIG_PATH="$library/pkgconfig" AUTOPKGTEST_TMP="$T/work" sh debian/tests/reject
expect_status 0
end
finish
