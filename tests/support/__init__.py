"""The machinery of the tests: servers in this process and beside it."""
