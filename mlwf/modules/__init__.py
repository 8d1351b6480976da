"""How each step is done: each module takes its spec and data and returns a result; none knows another, none fits."""
