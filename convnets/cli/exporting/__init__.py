"""The formats that `launch.py export` writes, one a file."""
