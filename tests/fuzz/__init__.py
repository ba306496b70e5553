"""Fuzzers: whatever a user gives is read, or refused with its file and a remedy.

They take seconds in the suite; ``make fuzz`` runs each for `FUZZ_EXAMPLES` examples.
"""
