"""Classify images with a network that darknet-sat has trained.

    import darknet_sat
    with darknet_sat.Model("net.cfg", "net.weights", data="set.data") as model:
        for answer in model.classify(["a.jpg", "b.jpg"]):
            print(answer.name if answer.accepted else "rejected", answer.confidence)

An image is a path, the bytes of an image file, an array of uint8 (height x width x channels, red first; height x
width where the network takes grey ones) of any size, or one of float32 (channels x height x width, 0 to 1) of the
network's size. Answers are those of `darknet-sat classifier predict`. A model may be asked by several threads.
"""
from __future__ import annotations

import ctypes as _c
import os
import threading
from dataclasses import dataclass
from typing import List, Optional, Sequence, Union

import numpy as np

__all__ = ["Answer", "Error", "Image", "Model", "version"]

Image = Union[str, "os.PathLike[str]", bytes, np.ndarray]


class _Options(_c.Structure):
    _fields_ = [("size", _c.c_size_t), ("data", _c.c_char_p), ("precision", _c.c_char_p), ("batch", _c.c_int),
                ("threads", _c.c_int), ("workers", _c.c_int)]


class _Error(_c.Structure):
    _fields_ = [("code", _c.c_int), ("text", _c.c_char * 2100)]


class _Info(_c.Structure):
    _fields_ = [("width", _c.c_int), ("height", _c.c_int), ("channels", _c.c_int), ("classes", _c.c_int),
                ("batch", _c.c_int), ("names", _c.POINTER(_c.c_char_p)), ("confidence", _c.c_char_p),
                ("threshold", _c.c_double), ("thresholds", _c.POINTER(_c.c_double)), ("novelty_rate", _c.c_double),
                ("backend", _c.c_char_p), ("notes", _c.POINTER(_c.c_char_p))]


class _Answer(_c.Structure):
    _fields_ = [("error", _c.c_int), ("error_text", _c.c_char_p), ("class_index", _c.c_int), ("name", _c.c_char_p),
                ("verdict", _c.c_int), ("confidence", _c.c_double), ("threshold", _c.c_double),
                ("novelty", _c.c_double), ("probabilities", _c.POINTER(_c.c_double))]


class _Image(_c.Structure):
    _fields_ = [("kind", _c.c_int), ("data", _c.c_void_p), ("size", _c.c_size_t), ("width", _c.c_int),
                ("height", _c.c_int), ("channels", _c.c_int)]


_FILE, _BYTES, _PIXELS, _FLOATS = range(4)


def _load() -> _c.CDLL:
    """The library that the loader finds; else that of the same PREFIX, or of the same tree."""
    name = "libdarknet_sat.so.1"
    here = os.path.dirname(os.path.abspath(__file__))
    beside = [os.path.join(here, *up, name) for up in (("..", ".."), ("..",))]
    try:
        return _c.CDLL(name)
    except OSError:
        for path in filter(os.path.exists, beside):
            return _c.CDLL(path)
        raise


_lib = _load()
_lib.darknet_sat_version.restype = _c.c_char_p
_lib.darknet_sat_verdict_text.restype = _c.c_char_p
_lib.darknet_sat_open.argtypes = [_c.c_char_p, _c.c_char_p, _c.POINTER(_Options), _c.POINTER(_c.c_void_p),
                                  _c.POINTER(_Error)]
_lib.darknet_sat_info.argtypes = [_c.c_void_p]
_lib.darknet_sat_info.restype = _c.POINTER(_Info)
_lib.darknet_sat_classify.argtypes = [_c.c_void_p, _c.POINTER(_Image), _c.c_size_t,
                                      _c.POINTER(_c.POINTER(_Answer)), _c.POINTER(_Error)]
_lib.darknet_sat_free.argtypes = [_c.POINTER(_Answer)]
_lib.darknet_sat_free.restype = None
_lib.darknet_sat_close.argtypes = [_c.c_void_p]
_lib.darknet_sat_close.restype = None


class Error(Exception):
    """A file, an option or memory is not as it should be; `code` is one of darknet-sat.h."""

    def __init__(self, code: int, text: str):
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Answer:
    """What the network says of an image."""

    error: Optional[str]  #: why there is no answer: then all below is of no meaning
    class_index: int  #: the most probable class
    name: Optional[str]  #: its name; None without `data`
    verdict: str  #: "accepted", "unsure" (below the threshold), "unknown" (like no image of training) or "error"
    confidence: float  #: higher is surer
    threshold: float  #: that counted; NaN: none
    novelty: float  #: p-value, 1 where nothing is known of strangers
    probabilities: np.ndarray  #: of the classes

    @property
    def accepted(self) -> bool:
        """Does the answer stand?"""
        return self.error is None and self.verdict == "accepted"


def version() -> str:
    """Of the library that is loaded."""
    return _lib.darknet_sat_version().decode()


def _text(value: Optional[bytes]) -> Optional[str]:
    return None if value is None else os.fsdecode(value)


def _path(path: "str | os.PathLike[str]") -> bytes:
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("a null character in the path %r" % (path,))
    return name


def _int(name: str, value: int) -> int:
    if not 0 <= value < 1 << 31:
        raise ValueError("%s=%d, expected 0 or more, below 2^31" % (name, value))
    return value


class Model:
    """A network; close() it, or use it in a `with`. A process that was forked opens its own."""

    def __init__(self, cfg: "str | os.PathLike[str]", weights: "str | os.PathLike[str]", *,
                 data: "str | os.PathLike[str] | None" = None, precision: Optional[str] = None, batch: int = 0,
                 threads: int = 0, workers: int = 0):
        """data: a .data file, for the names of the classes; precision: "f32", "bf16", "auto", None: as the cfg says;
        batch: images computed at once, 0: 32; threads that compute one batch, 0: one a core; workers: batches
        computed at the same time, 0: 1."""
        self._model = _c.c_void_p()
        self._process = os.getpid()
        self._asked, self._left = threading.Condition(), None
        self._asking: List[int] = []  # threads
        options = _Options(_c.sizeof(_Options), None if data is None else _path(data),
                           None if precision is None else precision.encode(), _int("batch", batch),
                           _int("threads", threads), _int("workers", workers))
        error = _Error()
        if _lib.darknet_sat_open(_path(cfg), _path(weights), _c.byref(options), _c.byref(self._model),
                                 _c.byref(error)):
            raise Error(error.code, os.fsdecode(error.text))
        info = _lib.darknet_sat_info(self._model).contents
        self.width: int = info.width
        self.height: int = info.height
        self.channels: int = info.channels
        self.classes: int = info.classes
        self.batch: int = info.batch
        self.names: Optional[List[str]] = [os.fsdecode(info.names[i]) for i in range(info.classes)] if info.names else None
        self.confidence: str = info.confidence.decode()  # "msp" …
        self.threshold: float = info.threshold  # NaN: none
        self.thresholds: Optional[List[float]] = info.thresholds[:info.classes] if info.thresholds else None
        self.backend: str = info.backend.decode()
        self.notes: List[str] = []  # what speaks against the threshold, say
        while info.notes[len(self.notes)]:
            self.notes.append(os.fsdecode(info.notes[len(self.notes)]))

    def close(self) -> None:
        """Frees it, when the calls under way have their answers; classify() is an error from then on."""
        if self._process != os.getpid():
            return
        with self._asked:
            model, self._model = self._model, _c.c_void_p()
            if threading.get_ident() in self._asking:  # in a signal handler: the call that it interrupted frees it
                self._left = self._left or model
                return
            self._asked.wait_for(lambda: not self._asking)
        _lib.darknet_sat_close(model)

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self.close()

    def _image(self, image: Image, keep: list) -> _Image:
        if isinstance(image, (bytes, bytearray)):
            keep.append(bytes(image))
            return _Image(_BYTES, _c.cast(_c.c_char_p(keep[-1]), _c.c_void_p), len(keep[-1]))
        if not isinstance(image, np.ndarray):
            keep.append(_path(image))
            return _Image(_FILE, _c.cast(_c.c_char_p(keep[-1]), _c.c_void_p))
        if image.dtype not in (np.uint8, np.float32) or image.ndim not in (2, 3):
            raise TypeError("an array of %s and %d dimensions, expected uint8 (height x width x channels) or float32 "
                            "(channels x height x width)" % (image.dtype, image.ndim))
        array = np.ascontiguousarray(image)
        keep.append(array)
        if array.dtype == np.uint8:
            height, width, channels = array.shape if array.ndim == 3 else array.shape + (1,)
        else:
            channels, height, width = array.shape if array.ndim == 3 else (1,) + array.shape
        return _Image(_PIXELS if array.dtype == np.uint8 else _FLOATS, array.ctypes.data, array.nbytes, width, height,
                      channels)

    def classify(self, images: Sequence[Image]) -> List[Answer]:
        """The answers, in the order of the images. Of one that cannot be read the answer has an `error`; Error is
        raised where the whole call fails."""
        if isinstance(images, (str, bytes, os.PathLike, np.ndarray)):
            raise TypeError("one image, expected a sequence of images")
        keep: list = []
        n = len(images)
        given = (_Image * n)(*[self._image(i, keep) for i in images])
        if self._process != os.getpid():
            raise ValueError("the model was opened before fork()")
        me, model = threading.get_ident(), _c.c_void_p()
        try:
            with self._asked:
                model = self._model
                if not model:
                    raise ValueError("the model is closed")
                self._asking.append(me)
            return self._ask(model, given, n)
        finally:
            left = None
            with self._asked:
                if model:
                    self._asking.remove(me)
                if not self._asking:
                    left, self._left = self._left, None
                self._asked.notify_all()
            if left:
                _lib.darknet_sat_close(left)

    def _ask(self, model: _c.c_void_p, given: _c.Array, n: int) -> List[Answer]:
        found = _c.POINTER(_Answer)()
        error = _Error()
        if _lib.darknet_sat_classify(model, given, n, _c.byref(found), _c.byref(error)):
            raise Error(error.code, os.fsdecode(error.text))
        try:
            return [self._answer(found[i]) for i in range(n)]
        finally:
            _lib.darknet_sat_free(found)

    def _answer(self, a: _Answer) -> Answer:
        verdict = "error" if a.error else _lib.darknet_sat_verdict_text(a.verdict).decode()
        return Answer(_text(a.error_text), a.class_index, _text(a.name), verdict, a.confidence, a.threshold, a.novelty,
                      np.array(a.probabilities[:self.classes]) if a.probabilities else np.full(self.classes, np.nan))
