"""An experiment file as text: YAML, `extends`, `${env:...}` and `--set`; it knows no spec.

parsing.py       YAML text -> nodes, within bounds; what is a boolean, a number or a text
strict_yaml.py   YAML text -> values that know where they are written
layers.py        a file, all that it extends, and `--set KEY=VALUE` -> one map
document.py      the result: plain data, and the origin of every value and key
"""

from __future__ import annotations

from mlwf.config.document import Document, value_at
from mlwf.config.layers import expanded
from mlwf.config.strict_yaml import KeyPath, Order, dotted, kind

__all__ = ["Document", "KeyPath", "Order", "dotted", "expanded", "kind", "value_at"]
