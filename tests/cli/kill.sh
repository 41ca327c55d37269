#!/bin/sh
# A dozen of the interruptions of tests/long/kill.sh.
STEP=45
KINDS="places second full beside clock"
. tests/long/kill.sh
