"""Element-wise steps whose operands and result differ in type: numpy would go through a buffer.

The values are numpy's: operands are made float64, and the result is rounded once.
"""

import numpy as np

from qlops_assets.factors.native.compilation import compiled


@compiled
def assign(x, out):
    """Copy with another type."""
    for i in range(out.shape[0]):
        out[i] = x[i]


@compiled
def add(x, y, out):
    """Add in float64."""
    for i in range(out.shape[0]):
        out[i] = np.float64(x[i]) + np.float64(y[i])


@compiled
def subtract(x, y, out):
    """Subtract in float64."""
    for i in range(out.shape[0]):
        out[i] = np.float64(x[i]) - np.float64(y[i])


@compiled
def multiply(x, y, out):
    """Multiply in float64."""
    for i in range(out.shape[0]):
        out[i] = np.float64(x[i]) * np.float64(y[i])


@compiled
def divide(x, y, out):
    """Divide in float64."""
    for i in range(out.shape[0]):
        out[i] = np.float64(x[i]) / np.float64(y[i])


@compiled
def add_number(x, y, out):
    """Add a number in float64."""
    for i in range(out.shape[0]):
        out[i] = np.float64(x[i]) + y


@compiled
def divide_by_number(x, y, out):
    """Divide by a number in float64."""
    for i in range(out.shape[0]):
        out[i] = np.float64(x[i]) / y
