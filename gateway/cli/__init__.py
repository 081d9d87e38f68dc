"""The command line: one command with sub-commands; composes all other rooms."""
