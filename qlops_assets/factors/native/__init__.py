"""The native engine: Qlib's values from numpy for the element-wise part and Numba for the windows.

May import: core, lake, ``factors.grammar``. To add a window operator, write its kernel in
``kernels/`` and one line in ``families.py``; element-wise operators are numpy's own functions.
"""
