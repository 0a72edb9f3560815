"""Qlib's expression language: text to tree and back, without ever evaluating anything.

May import: core. To add an operator, write one line in ``operators.py``; the native engine then
needs a numpy function of that name or a kernel (``factors/native``).
"""
