"""What `launch.py` can do: one file a command."""
