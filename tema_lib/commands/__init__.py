"""One module a command of `tema`: its work; what it is told is parsed in `tema_lib.cli`."""
