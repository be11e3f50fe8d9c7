"""Private names of sentence-transformers that have no public form, each with a fallback for releases that lack it.

``tests/models/local/test_routes.py`` fails as soon as one of them is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers.sentence_transformer.modules import Router

    from pytest_embedbench.datasets.types import Role


def route_modules(router: Router, role: Role) -> list[Any]:
    """Return the modules of a router that texts of this role go through.

    Raises:
        ValueError: it has no route for the role.
    """
    resolve = getattr(router, "_resolve_route", None)
    if resolve is None:
        route = role if role in router.sub_modules else router.default_route
        if route is None:
            raise ValueError(f"no route for {role!r}, only {', '.join(router.sub_modules)}")
    else:
        route = resolve(task=role, modality="text")
    modules: Any = router.sub_modules[route]
    return list(modules)
