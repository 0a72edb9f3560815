"""Rows as Qlib's data handlers fetch them, without the copies that Qlib makes.

Qlib's handler keeps DataFrames: it copies all of one for ``learn`` processors that touch the label
alone, and all of its columns again each time that a segment is asked for. Here they are one matrix,
column behind column, of which a segment is a view; what is learned from has labels of its own.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from qlops_assets.training.processors import by_day, is_of_label_alone

if TYPE_CHECKING:
    import pandas as pd

Matrix = NDArray[Any]
_PLACE: Final = ("row", "place")


class Rows:
    """A matrix with an index, fetched by day and by kind of column.

    Args:
        values: (row × column), the features first and the label last, in Fortran's order.
        index: (datetime, instrument) of the rows, sorted.
        columns: (``feature``, name) … (``label``, name).
    """

    def __init__(self, values: Matrix, index: Any, columns: Any) -> None:
        self.values, self.index, self.columns = values, index, columns
        # What is given out is a view: whoever writes into it would write into all that follows.
        self.values.flags.writeable = False
        self._days = index.get_level_values(0).to_numpy()

    def fetch(
        self, selector: Any = slice(None), level: Any = "datetime", col_set: Any = "__all"
    ) -> "pd.DataFrame":
        """Return rows and columns as ``qlib.data.dataset.handler.DataHandler.fetch`` does."""
        from qlib.data.dataset.handler import DataHandler
        from qlib.data.dataset.utils import fetch_df_by_index

        if isinstance(selector, tuple | list) and level is not None and len(selector) <= 3:
            selector = slice(*selector)
        if not isinstance(selector, slice) or level != "datetime" or selector.step is not None:
            whole = self.fetch(slice(None), "datetime", col_set)
            by_index: pd.DataFrame = fetch_df_by_index(whole, selector, level)
            return by_index
        first, last = self._between(selector)
        if col_set == DataHandler.CS_RAW or isinstance(col_set, list):
            return self._frame(first, last, self._wanted(col_set))
        if col_set == DataHandler.CS_ALL:
            return self._frame(first, last, range(len(self.columns))).droplevel(0, axis=1)
        of_kind: pd.DataFrame = self._frame(first, last, self._wanted([col_set]))[col_set]
        return of_kind

    def head(self, rows: int = 5) -> "pd.DataFrame":
        """Return the first rows, from which Qlib tells the columns."""
        return self._frame(0, rows, range(len(self.columns)))

    def _between(self, selector: slice) -> tuple[int, int]:
        """Return the places of the first row from a day on, and after the last up to a day."""
        import pandas as pd

        first, last = 0, len(self._days)
        if selector.start is not None:
            start = pd.Timestamp(selector.start).to_datetime64()
            first = int(np.searchsorted(self._days, start, side="left"))
        if selector.stop is not None:
            stop = pd.Timestamp(selector.stop).to_datetime64()
            last = int(np.searchsorted(self._days, stop, side="right"))
        return first, max(first, last)

    def _wanted(self, col_set: Any) -> range:
        """Return the places of the columns, which are next to each other."""
        if not isinstance(col_set, list):
            return range(len(self.columns))
        kinds = self.columns.get_level_values(0)
        places = [place for kind in col_set for place in np.flatnonzero(kinds == kind)]
        return range(places[0], places[-1] + 1)

    def _frame(self, first: int, last: int, columns: Sequence[int]) -> "pd.DataFrame":
        import pandas as pd

        cut = slice(columns[0], columns[-1] + 1)
        return pd.DataFrame(
            self.values[first:last, cut],
            index=self.index[first:last],
            columns=self.columns[cut],
            copy=False,
        )


class LearnedRows(Rows):
    """Some of the rows, with labels of their own: what a model learns from.

    Args:
        rows: All of them.
        places: Of those that are learned from, in order.
        label: Of these.
    """

    def __init__(self, rows: Rows, places: NDArray[np.int64], label: Matrix) -> None:
        super().__init__(rows.values, rows.index[places], rows.columns)
        self.places, self.label = places, label

    def _frame(self, first: int, last: int, columns: Sequence[int]) -> "pd.DataFrame":
        import pandas as pd

        places, own = self.places[first:last], len(self.columns) - 1
        label = self.label[first:last]
        # Ranks are float64, beside features of float32; what is of one type stays one matrix.
        is_apart = own in columns and label.dtype != self.values.dtype
        kept = [column for column in columns if column != own or not is_apart]
        values = np.empty((len(places), len(kept)), self.values.dtype, order="F")
        for number, column in enumerate(kept):
            if column == own:
                values[:, number] = label
            else:
                np.take(self.values[:, column], places, out=values[:, number], mode="clip")
        index = self.index[first:last]
        found = pd.DataFrame(values, index=index, columns=self.columns[kept], copy=False)
        if is_apart:
            found[self.columns[own]] = label
        return found


def handler_of(
    rows: Mapping[str, Rows], infer: Sequence[Any] = (), learn: Sequence[Any] = ()
) -> Any:
    """Return Qlib's handler of rows that were loaded and processed before.

    Args:
        rows: ``infer`` and ``learn``, and ``raw`` where it is kept: Qlib's keys.
        infer: The processors that made ``infer``.
        learn: Those that made ``learn`` of it.
    """
    from qlib.data.dataset.handler import DataHandlerLP
    from qlib.data.dataset.utils import fetch_df_by_col

    class ProcessedRows(DataHandlerLP):  # type: ignore[misc]
        """A handler that reads :class:`Rows`."""

        def __init__(self) -> None:
            self.infer_processors, self.learn_processors = list(infer), list(learn)
            self.shared_processors: list[Any] = []
            self.fetch_orig, self.drop_raw = True, "raw" not in rows
            self.rows = rows

        def fetch(  # noqa: PLR0917 # Qlib's signature
            self,
            selector: Any = slice(None),
            level: Any = "datetime",
            col_set: Any = DataHandlerLP.CS_ALL,
            data_key: str = DataHandlerLP.DK_I,
            squeeze: bool = False,
            proc_func: Any = None,
        ) -> Any:
            found = rows[data_key].fetch(selector, level, "__raw" if proc_func else col_set)
            if proc_func:
                found = fetch_df_by_col(proc_func(found.copy()), col_set)
            return found.squeeze() if squeeze else found

        def get_cols(
            self, col_set: Any = DataHandlerLP.CS_ALL, data_key: str = DataHandlerLP.DK_I
        ) -> list[Any]:
            columns: list[Any] = fetch_df_by_col(rows[data_key].head(), col_set).columns.to_list()
            return columns

    return ProcessedRows()


def processed(frame: "pd.DataFrame", infer: Sequence[Any], learn: Sequence[Any]) -> Any:
    """Return the handler of a frame after Qlib's processors, as ``DataHandlerLP`` makes it.

    Processors that look at nothing but the label are given nothing else: what they leave of the
    rows is learned from, with the label that they give it, and the features are not copied.

    Args:
        frame: Of :func:`qlops_assets.training.frame.training_frame`.
        infer: Qlib's processors of the features, which are fitted here.
        learn: Those that run beside them in training.
    """
    import pandas as pd
    from qlib.data.dataset.handler import DataHandlerLP

    def after(data: pd.DataFrame, processors: Sequence[Any]) -> pd.DataFrame:
        # Some write into what another cut out of a frame, as they mean to.
        with pd.option_context("mode.chained_assignment", None):
            found: pd.DataFrame = DataHandlerLP._run_proc_l(
                data, processors, with_fit=True, check_for_infer=False
            )
        return found

    raw = rows_of(frame)
    seen = rows_of(after(frame.copy(), infer)) if infer else raw
    if all(is_of_label_alone(one) for one in learn):
        learned: Rows = _learned(seen, after(_labels(seen), [by_day(one) for one in learn]))
    else:
        learned = rows_of(after(seen.fetch(col_set=DataHandlerLP.CS_RAW).copy(), learn))
    return handler_of({"raw": raw, "infer": seen, "learn": learned}, infer, learn)


def rows_of(frame: "pd.DataFrame") -> Rows:
    """Return the rows of a frame, without a copy where it is one matrix."""
    return Rows(np.asfortranarray(frame.to_numpy()), frame.index, frame.columns)


def _labels(rows: Rows) -> "pd.DataFrame":
    """Return the labels of rows, and beside them where they are."""
    import pandas as pd

    label = rows.values[:, -1].copy()
    columns = {rows.columns[-1]: label, _PLACE: np.arange(len(label), dtype=np.int64)}
    found = pd.DataFrame(columns, index=rows.index)
    found.columns = pd.MultiIndex.from_tuples(columns)
    return found


def _learned(rows: Rows, labels: "pd.DataFrame") -> LearnedRows:
    return LearnedRows(rows, labels[_PLACE].to_numpy(), labels[rows.columns[-1]].to_numpy())
