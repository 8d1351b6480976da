"""Names of metrics and parameters -> keys that MLflow takes, one for each name."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable
from hashlib import blake2s

LONGEST_KEY = 250

_SIGNS = {"=": "is", "!=": "is not", ">": "above", ">=": "from", "<": "below", "<=": "up to"}


class Keys:
    """The keys of one run's metrics, or of its parameters.

    A key is the name in the letters that MLflow takes. Names that would share one get a digest of the name behind it;
    a name that needs no change keeps its key. In the metrics of a slice it is the digest of the slice, which stands
    behind a `/`.

    >>> keys = Keys()
    >>> keys.of(["cv_f1", "cv_f1/currency = $", "cv_f1/currency = €"]).values()
    dict_values(['cv_f1', 'cv_f1/currency is _-9f37734a', 'cv_f1/currency is _-8187b8f9'])
    """

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self.digests: dict[str, str] = {}
        """What each digest at the end of a key stands for."""

    def of(self, names: Iterable[str]) -> dict[str, str]:
        """Give the key of each name; one that was given before stays."""
        names = list(names)
        new = {name: valid_key(name) for name in names if name not in self._keys}
        taken = {_compared(key) for key in self._keys.values()}
        wanted = Counter(map(_compared, new.values()))
        unchanged = Counter(_compared(key) for name, key in new.items() if name == key)
        for name, key in new.items():
            same = _compared(key)
            is_its_own = wanted[same] == 1 or (name == key and unchanged[same] == 1)
            if not is_its_own or same in taken:
                key = self._with_digest(name, key, taken | wanted.keys())
            self._keys[name] = key
            taken.add(_compared(key))
        return {name: self._keys[name] for name in names}

    def _with_digest(self, name: str, key: str, taken: Collection[str]) -> str:
        text = part = name.partition("/")[2] or name
        while True:
            digest = blake2s(text.encode(errors="surrogatepass"), digest_size=4).hexdigest()
            distinct = valid_key(f"{key[: LONGEST_KEY - len(digest) - 1]}-{digest}")
            if _compared(distinct) not in taken:
                self.digests[digest] = part
                return distinct
            text += digest


def valid_key(name: str) -> str:
    """Make a key that MLflow takes: letters, digits and `_-. :/`, and no path that could be written shorter.

    >>> valid_key("cv_f1/age > 60"), valid_key("cv_f1/share != 5 %")
    ('cv_f1/age above 60', 'cv_f1/share is not 5 _')
    """
    # `age > 60` is not `age < 60`.
    name = re.sub(r" (=|!=|>=?|<=?) ", lambda sign: f" {_SIGNS[sign[1]]} ", name, count=1)
    key = re.sub(r"[^\w.\- :/]", "_", name)[:LONGEST_KEY]
    return key if key and posixpath.normpath(key) == key and key[0] not in "./" else re.sub(r"[./]", "_", key) or "_"


def _compared(key: str) -> str:
    # MySQL's usual collation tells neither capitals nor blanks at the end apart.
    return key.casefold().rstrip()
