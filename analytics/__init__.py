"""Pure portfolio mathematics: no I/O, no clock, nothing of ours imported.

Money, quantities and NAV are `Decimal` (28 digits); return series are float64. Whatever cannot be
computed is None with a reason, never 0, and a missing exchange rate is never 1.0.
"""
