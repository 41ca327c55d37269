#!/bin/sh
# Every cfg of Debian's darknet: exported and the same in other programs, or refused by the name of what has no counterpart.
. tests/cli/lib.sh
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
py=/usr/bin/python3
"$py" -c 'import cv2, onnx' 2>"$T/err" || {
    skip "exported networks" "python3-opencv or python3-onnx is not installed"
    exit 0
}
for cfg in /usr/share/darknet/cfg/*.cfg; do
    begin "$(basename "$cfg")"
    run "$py" tests/cli/export.py networks "$T" "$D" "$cfg"
    expect_status 0
    case $(basename "$cfg" .cfg) in
    alexnet | darknet | darknet19* | darknet53* | densenet201 | extraction | resne*[0-9] | resnext*d | strided | tiny | vgg-16)
        expect_out '^network .*: onnx equal; cfg (equal|error: .*OpenCV does not (read it from a cfg|add layers of other sizes).*)$' ;;
    *)
        expect_out '^network .*: (onnx equal|onnx error: .*(cannot be exported|has no place|no cost section|expected).*); cfg ' ;;
    esac
    sed 's/^/# /' "$T/out"
    end
done
finish
