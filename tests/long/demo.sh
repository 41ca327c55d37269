#!/bin/sh
# The demo, and what it must show: few errors, and rejecting a fifth of the images at least halves the risk.
set -eu
make -s demo
python3 - <<'END'
import json
r = {p["coverage"]: p["risk"] for p in json.load(open("backup/demo/report.json"))["risk_at_coverage"]}
assert r[0.8] <= r[1.0] / 2, r
assert r[1.0] <= 0.09, r
print("ok risk %.4f at 80 %% coverage, %.4f at 100 %%" % (r[0.8], r[1.0]))
END
