"""Tests of the client for threads.

Made of `tests/_async/__init__.py` by `scripts/generate.py`: do not edit.
"""
