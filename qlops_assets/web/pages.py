"""The pages of the console, in the order of the navigation. A new page is one line here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """A page that the navigation shows.

    Attributes:
        title: Its word in the navigation.
        path: Where it is served.
        router: ``"module:attribute"`` of its ``APIRouter``.
    """

    title: str
    path: str
    router: str


PAGES = (
    Page("Overview", "/", "qlops_assets.web.overview.page:router"),
    Page("Data", "/data", "qlops_assets.web.data.page:router"),
    Page("Factors", "/factors", "qlops_assets.web.factors.page:router"),
    Page("Training", "/training", "qlops_assets.web.training.page:router"),
    Page("Tuning", "/tuning", "qlops_assets.web.tuning.page:router"),
)

# Routers without a word in the navigation.
INTERFACES = (
    "qlops_assets.web.models.api:router",
    "qlops_assets.web.stream:router",
)
