import pytest

from qlops_assets.core.errors import UnknownEntryError
from qlops_assets.models.catalog import FORMATS, TRAINERS


@pytest.mark.parametrize("name", TRAINERS.names())
def test_trainer_of_the_catalog_describes_itself_as_a_task_of_qlib(name: str) -> None:
    trainer = TRAINERS.load(name)({}, seed=1, threads=1, rounds=5, early_stopping_rounds=2)
    assert set(trainer.configuration()) == {"class", "module_path", "kwargs"}


@pytest.mark.parametrize("name", FORMATS.names())
def test_format_of_the_catalog_can_be_imported(name: str) -> None:
    assert callable(FORMATS.load(name))


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UnknownEntryError, match=r"unknown model 'lightgmb'; did you mean 'lightg"):
        TRAINERS.load("lightgmb")
