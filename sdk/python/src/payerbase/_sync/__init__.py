"""The client for threads.

Made of `src/payerbase/_async/__init__.py` by `scripts/generate.py`: do not edit.
"""
