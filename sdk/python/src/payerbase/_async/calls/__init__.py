"""The calls of the API, for asyncio.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""
