"""The calls of the API, for threads.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""
