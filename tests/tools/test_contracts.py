"""The import contracts catch what they are there for."""

import pytest
from grimp import ImportGraph

from contracts import OnlyHereContract, StandardLibraryContract


@pytest.fixture
def graph() -> ImportGraph:
    graph = ImportGraph()
    for module in ("app", "app.storage", "app.storage.rows", "app.web", "app.domain"):
        graph.add_module(module)
    for library in ("sqlalchemy", "json"):
        graph.add_module(library, is_squashed=True)
    return graph


def only_here(**options: object) -> OnlyHereContract:
    return OnlyHereContract("only here", {}, options)


def standard_library(**options: object) -> StandardLibraryContract:
    return StandardLibraryContract("standard library", {}, options)


def test_a_library_may_be_imported_where_it_belongs(graph: ImportGraph) -> None:
    graph.add_import(importer="app.storage.rows", imported="sqlalchemy")

    check = only_here(modules=["sqlalchemy"], importers=["app.storage"]).check(graph, verbose=False)

    assert check.kept


def test_a_library_imported_elsewhere_breaks_the_contract_and_is_named(
    graph: ImportGraph, capsys: pytest.CaptureFixture[str]
) -> None:
    graph.add_import(importer="app.web", imported="sqlalchemy")
    contract = only_here(modules=["sqlalchemy"], importers=["app.storage"])

    check = contract.check(graph, verbose=False)
    contract.render_broken_contract(check)

    assert not check.kept
    assert "app.web imports sqlalchemy" in capsys.readouterr().out


def test_a_package_whose_name_only_begins_alike_is_another_package(graph: ImportGraph) -> None:
    graph.add_module("app.storage_tools")
    graph.add_import(importer="app.storage_tools", imported="sqlalchemy")

    check = only_here(modules=["sqlalchemy"], importers=["app.storage"]).check(graph, verbose=False)

    assert not check.kept


def test_the_standard_library_and_what_is_named_besides_are_free(graph: ImportGraph) -> None:
    graph.add_import(importer="app.domain", imported="json")
    graph.add_import(importer="app.domain", imported="app.storage")
    contract = standard_library(modules=["app.domain"], besides=["app.storage"])

    assert contract.check(graph, verbose=False).kept


def test_a_pure_module_that_imports_a_package_breaks_the_contract(graph: ImportGraph) -> None:
    graph.add_import(importer="app.domain", imported="sqlalchemy")

    check = standard_library(modules=["app.domain"]).check(graph, verbose=False)

    assert check.metadata["violations"] == ["app.domain imports sqlalchemy"]
