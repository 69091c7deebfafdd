"""Faust 0.15.3 made at-least-once: subclasses of the parts that lose, skip or stall, and what replaces them.

Everything that depends on the inside of Faust or aiokafka is in this package. `upstream.py` pins the source of every
function replaced or relied on; a test fails when a new version changes one of them.
"""
