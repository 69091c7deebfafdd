"""Beancount-subset text at a git commit → dated bookings, lots and cash flows.

The way through: `sources` (disk, memory or git commit) → `loading` (includes, order) →
`booking.book` → `booked.Booked`, whose flat rows other parts store and fold.
"""
