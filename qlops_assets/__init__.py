"""MLOps for quant teams: from Parquet bars to served predictions, as versioned Dagster assets.

The rooms, their layers and their doors are described in docs/architecture.md.
"""
