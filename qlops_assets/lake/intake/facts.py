"""What was found out of every file version when it was read, so that no unchanged file is again.

A cache: what is missing or damaged is found out again from the kept bytes.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from qlops_assets.core.atomic import replacing
from qlops_assets.lake.intake.agreement import SPANS
from qlops_assets.lake.intake.inspection import UsableFile
from qlops_assets.lake.manifest import SourceFile
from qlops_assets.lake.versions.contents import CONTENTS

_VERSION: Final = ["path", "digest"]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Days per instrument, and digests of what is said, of file versions."""

    spans: pl.DataFrame
    contents: pl.DataFrame

    def updated(self, fresh: Sequence[UsableFile]) -> "FileFacts":
        """Return these facts with those of files that were just read, which replace older ones."""
        if not fresh:
            return self
        spans = pl.concat([f.spans for f in fresh])
        contents = pl.concat([f.contents for f in fresh])
        return FileFacts(_replaced(self.spans, spans), _replaced(self.contents, contents))

    def of(
        self, files: Collection[SourceFile], judged: Callable[[SourceFile], UsableFile]
    ) -> "FileFacts":
        """Return the facts of these files and no others.

        Args:
            files: The file versions.
            judged: Reads the kept bytes of one that is missing here.
        """
        by_key = {(f.path, f.digest): f for f in files}
        schema = dict.fromkeys(_VERSION, pl.String)
        wanted = pl.DataFrame(list(by_key), schema=schema, orient="row")
        known = wanted.join(self.spans, on=_VERSION, how="semi").join(
            self.contents, on=_VERSION, how="semi"
        )
        missing = [
            judged(by_key[key]) for key in wanted.join(known, on=_VERSION, how="anti").rows()
        ]
        return FileFacts(
            pl.concat([_of(self.spans, known), *(f.spans for f in missing)]),
            pl.concat([_of(self.contents, known), *(f.contents for f in missing)]),
        )

    def save(self, folder: Path) -> None:
        """Write them."""
        for name, frame in (("spans", self.spans), ("contents", self.contents)):
            with replacing(folder / f"{name}.parquet") as temporary:
                frame.write_parquet(temporary, compression="zstd", compression_level=1)


def _replaced(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([old.join(new, on=_VERSION, how="anti"), new])


def _of(frame: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    return frame.join(versions, on=_VERSION, how="semi", maintain_order="left")


def load_facts(folder: Path) -> FileFacts:
    """Return what the last scan kept; nothing where that cannot be read."""
    return FileFacts(
        _loaded(folder / "spans.parquet", SPANS), _loaded(folder / "contents.parquet", CONTENTS)
    )


def _loaded(path: Path, schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    try:
        return pl.read_parquet(path).select(pl.col(n).cast(kind) for n, kind in schema.items())
    except (pl.exceptions.PolarsError, OSError):
        return pl.DataFrame(schema=schema)
