"""What is timed, and against what.

Each module here has a function ``run() -> dict`` of plain numbers, named with their unit.
``python -m benchmarks [NAME ...]`` runs them and records the results in ``benchmarks/results``,
from which the book's page of benchmarks takes them.
"""
