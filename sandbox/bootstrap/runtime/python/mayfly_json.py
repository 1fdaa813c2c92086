"""JSON as awslambdaric reads and writes it, without importing `json` (and with it `re`) until it is needed.

awslambdaric uses simplejson: Decimals are written as numbers, named tuples as objects, and from Python 3.12 on text is
not escaped to ASCII. The accelerators behind the standard library's `json` do the work; whatever they do not take in one
go is given to `json` itself, which also words the errors.
"""

import os
import sys

try:
    from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner
except ImportError:  # an interpreter without the accelerators
    make_encoder = make_scanner = None

_ASCII = sys.version_info < (3, 12)


class _ScannerContext(object):
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}.__getitem__
    memo = {}


_scan = make_scanner(_ScannerContext()) if make_scanner is not None else None


def from_json(data):
    """Parses str or bytes."""
    if not isinstance(data, str):
        data = data.decode("utf-8")
    if _scan is not None:
        try:
            value, end = _scan(data, 0)
            if end == len(data):
                return value
        except (StopIteration, SystemError, ValueError):
            pass  # not JSON; SystemError is how the scanner fails while json.decoder is not loaded
    import json

    return json.loads(data)


def _named_tuples(value):
    """The value with named tuples as dicts; the very same object when there are none."""
    kind = type(value)
    if kind is dict:
        changed = None
        for k, v in value.items():
            if isinstance(v, (dict, list, tuple)):
                new = _named_tuples(v)
                if new is not v:
                    if changed is None:
                        changed = dict(value)
                    changed[k] = new
        return value if changed is None else changed
    if isinstance(value, tuple) and callable(getattr(value, "_asdict", None)):
        return _named_tuples(dict(value._asdict()))
    if kind is list or kind is tuple:
        changed = None
        for i, v in enumerate(value):
            if isinstance(v, (dict, list, tuple)):
                new = _named_tuples(v)
                if new is not v:
                    if changed is None:
                        changed = list(value)
                    changed[i] = new
        return value if changed is None else changed
    return value


class _Default(object):
    """What the encoder calls for values it does not know: Decimals become marked strings that are unmarked at the end."""

    def __init__(self):
        self.mark = None

    def __call__(self, value):
        decimal = sys.modules.get("decimal") or sys.modules.get("_pydecimal")
        if decimal is not None and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            if self.mark is None:
                self.mark = "decimal-" + os.urandom(16).hex() + ":"
            return self.mark + str(value)
        if callable(getattr(value, "_asdict", None)):
            return value._asdict()
        raise TypeError("Object of type %s is not JSON serializable" % value.__class__.__name__)

    def finish(self, text):
        if self.mark is None:
            return text
        import re

        return re.sub('"' + self.mark + '([^"]*)"', r"\1", text)


def to_json(value):
    """Writes value as text."""
    default = _Default()
    try:
        value = _named_tuples(value)
    except RecursionError:
        pass  # a circle, which the encoder words
    if make_encoder is not None:
        encode = make_encoder(
            {}, default, encode_basestring_ascii if _ASCII else encode_basestring, None, ": ", ", ", False, False, True
        )
        return default.finish("".join(encode(value, 0)))
    import json

    return default.finish(json.JSONEncoder(ensure_ascii=_ASCII, default=default).encode(value))
