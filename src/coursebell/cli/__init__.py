"""The command line: a module for each family of commands. No SQL, no rules of its own."""
