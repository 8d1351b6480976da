"""An experiment file as text: YAML, `extends`, `${env:...}` and `--set`; it knows no spec.

scalars.py       what is a boolean, a number or a text
parsing.py       YAML text -> nodes, within bounds
strict_yaml.py   YAML text -> values that know where they are written
files.py         a file and all that it extends -> one map
overrides.py     `--set KEY=VALUE` put into that map
document.py      the result: plain data, and the origin of every value and key
"""

from __future__ import annotations

from mlwf.config.document import Document
from mlwf.config.files import expanded
from mlwf.config.strict_yaml import KeyPath, Order, dotted, kind

__all__ = ["Document", "KeyPath", "Order", "dotted", "expanded", "kind"]
