"""The instructor's tools: assignments released, collected, graded and returned.

The package alone imports nothing; only its modules that grade need nbgrader.
"""
