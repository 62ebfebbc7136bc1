"""Import contracts that import-linter has no type for; pyproject.toml says where they apply."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class _NoViolationsContract(Contract):
    """A contract that is kept when it finds no violation; each violation is one line of text."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: FBT001
        violations = sorted(self.violations(graph))
        return ContractCheck(kept=not violations, metadata={"violations": violations})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for violation in check.metadata["violations"]:
            output.print_error(f"  {violation}")

    def violations(self, graph: ImportGraph) -> Iterator[str]:
        raise NotImplementedError


class OnlyHereContract(_NoViolationsContract):
    """Nothing outside `importers` imports `modules`, which may be ours or a library's."""

    modules: Any = fields.SetField(subfield=fields.StringField())
    importers: Any = fields.SetField(subfield=fields.StringField())

    def violations(self, graph: ImportGraph) -> Iterator[str]:
        for importer, imported in _imports(graph):
            if _within(imported, self.modules) and not _within(
                importer, self.importers | self.modules
            ):
                yield f"{importer} imports {imported}"


class StandardLibraryContract(_NoViolationsContract):
    """`modules` import the standard library, themselves and `besides`, and nothing else."""

    modules: Any = fields.SetField(subfield=fields.StringField())
    besides: Any = fields.SetField(subfield=fields.StringField(), required=False, default=set())

    def violations(self, graph: ImportGraph) -> Iterator[str]:
        allowed = self.modules | self.besides | sys.stdlib_module_names
        for importer, imported in _imports(graph):
            if _within(importer, self.modules) and not _within(imported, allowed):
                yield f"{importer} imports {imported}"


def _imports(graph: ImportGraph) -> Iterator[tuple[str, str]]:
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            yield importer, imported


def _within(module: str, packages: Iterable[str]) -> bool:
    """Whether the module is one of the packages or stands inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)
