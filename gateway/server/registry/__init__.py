"""Importing the registry: who is treated by whom, with which meter, through which hub."""
