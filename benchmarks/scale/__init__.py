"""How far one service scales: measured service times, a simulation fed with them alone, and its error.

`python -m benchmarks.scale PHOTOS` runs it; docs/scale.md explains what it prints.
"""
